import { type Static, Type } from 'typebox'
import { providerTypes } from '#core/resources/identity-provider.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../../app.ts'
import { exchangeCaller } from '../../callers/exchange-caller.ts'
import { organizationOf } from '../../organization-of.ts'
import { keyProblems } from '../../openapi/route-docs.ts'
import { bearerOf } from '../../plugins/api-key.ts'
import { organizationId } from '../request-fields.ts'
import { hosted } from '../../faces/hosted.ts'

const ProvidersQuery = Type.Object({ organization_id: Type.Optional(organizationId) })
const ProvidersAnswer = Type.Object({
  providers: Type.Array(
    Type.Object({
      id: Type.String({ description: 'integration_id of an exchange.' }),
      name: Type.String(),
      provider: Type.Enum(providerTypes),
      enabled: Type.Literal(true),
    }),
  ),
})

export function v2ProvidersRoute(app: App, { identities }: { readonly identities: IdentityReader }): void {
  app.get(
    '/v2/providers',
    {
      schema: { querystring: ProvidersQuery, response: { 200: ProvidersAnswer } },
      config: {
        face: hosted,
        docs: {
          tag: 'Hosted',
          summary: 'List the identity providers of an organization',
          caller: 'anybodyOrApiKey',
          problems: [...keyProblems, 'invalid_request', 'organization_not_found'],
        },
      },
    },
    async (request, reply): Promise<Static<typeof ProvidersAnswer>> => {
      const { headers, query } = request
      const claim = {
        secret: headers.authorization === undefined ? undefined : bearerOf(request),
        organization: query.organization_id,
      }
      const caller = await exchangeCaller(identities, claim, request, reply)
      await organizationOf(identities, caller)
      const providers = await identities.list('provider', caller.organization)
      return {
        providers: [...providers]
          .filter(([, { closed }]) => closed === undefined)
          .map(([name, { type }]) => ({ id: name, name, provider: type, enabled: true as const }))
          .sort((left, right) => (left.name < right.name ? -1 : 1)),
      }
    },
  )
}
