import { type Static, Type } from 'typebox'
import { parseUsername } from '#core/credentials/username.ts'
import type { App } from '../../app.ts'
import { bodyProblems } from '../../openapi/route-docs.ts'
import { type RefreshRouteOptions, watchRenewal } from '../refresh-token.ts'
import { hosted } from '../../faces/hosted.ts'
import { ownProvider, v2TokenAnswer, V2TokenAnswer } from './token-answer.ts'

const RefreshBody = Type.Object({
  token_id: Type.String({ minLength: 1, maxLength: 128 }),
  current_token_password: Type.String({ minLength: 1, description: 'The proof: the current password.' }),
})

export function v2RefreshTokenRoute(app: App, options: RefreshRouteOptions): void {
  app.post(
    '/v2/tokens/refresh',
    {
      schema: { body: RefreshBody, response: { 200: V2TokenAnswer } },
      config: {
        face: hosted,
        refusal: 'credential.renewal-refused',
        docs: {
          tag: 'Hosted',
          summary: 'Renew a token by its own password',
          caller: 'body',
          problems: [...bodyProblems, 'invalid_credential', 'organization_suspended', 'renewal_not_possible'],
          example: {
            token_id: 'tmp_j1ynutzlnk27v85gtwmy@org_k7xm4pqr2n5t',
            current_token_password: 'cs_mp_...',
          },
        },
      },
    },
    async (request, reply): Promise<Static<typeof V2TokenAnswer>> => {
      const { token_id, current_token_password: password } = request.body
      const username = parseUsername(token_id)
      const proof = async (): Promise<{ password: string }> => ({ password })
      const renewal = await watchRenewal(options, { username, proof }, request, reply)
      const { organization, renewed, provider } = renewal
      const type = provider?.type ?? ownProvider
      return v2TokenAnswer(
        { ...renewal, password, expiresAt: renewed.expiresAt },
        organization,
        renewed.attributes,
        type,
      )
    },
  )
}
