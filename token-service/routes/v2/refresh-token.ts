import { type Static, Type } from 'typebox'
import { parseUsername } from '#core/credentials/username.ts'
import type { App } from '../../app.ts'
import { answerWith } from '../../plugins/error-response.ts'
import { type RefreshRouteOptions, watchRenewal } from '../refresh-token.ts'
import { writeV2Problem } from './problem.ts'
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
      errorHandler: answerWith(writeV2Problem, options.log),
    },
    async ({ body }): Promise<Static<typeof V2TokenAnswer>> => {
      const username = parseUsername(body.token_id)
      const renewal = await watchRenewal(options, { username, password: body.current_token_password })
      const { organization, renewed, provider } = renewal
      const type = provider?.type ?? ownProvider
      return v2TokenAnswer(
        { ...renewal, expiresAt: renewed.expiresAt },
        organization,
        renewed.attributes,
        type,
      )
    },
  )
}
