import { Type } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import { isLocalPart, isTemporary } from '#core/credentials/username.ts'
import type { ControlLogWitness } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../app.ts'
import { auditedFields } from '../audit/audited-request.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { organizationOf } from '../organization-of.ts'
import { keyProblems } from '../openapi/route-docs.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { confirmWithinMs } from './revocations.ts'

export interface RevokeRouteOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  readonly control: ControlLogWitness
  readonly metrics: TokenServiceMetrics
  readonly audit: Audit
}

const RevokeParams = Type.Object({ id: Type.String({ description: 'The id that the exchange gave.' }) })

export function revokeTokenRoute(
  app: App,
  { identities, credentials, control, metrics, audit }: RevokeRouteOptions,
): void {
  app.delete(
    '/v1/tokens/:id',
    {
      schema: { params: RevokeParams, response: { 204: Type.Null({ description: 'It is gone.' }) } },
      onRequest: requireApiKey(identities, 'revoke'),
      config: {
        docs: {
          tag: 'Tokens',
          summary: 'Revoke a credential',
          description:
            'It ends now, and so do its connections. Replicas of the broker that have not said within a second ' +
            'that it is done are named in CloudSignal-Unconfirmed-Replicas.',
          caller: 'apiKey',
          problems: [
            ...keyProblems,
            'credential_not_found',
            'malformed_json',
            'payload_too_large',
            'unsupported_media_type',
          ],
        },
      },
    },
    async (request, reply) => {
      const { caller } = request
      const { id } = request.params
      if (caller === null) throw new ProblemError('invalid_api_key')
      await organizationOf(identities, caller)
      if (!isTemporary(id) || !isLocalPart(id)) throw new ProblemError('credential_not_found')
      // Said again in the control log when it was gone already: the first call may have been cut in between.
      const { wasThere, positions } = await credentials.revoke(caller.organization, id)
      if (!wasThere) throw new ProblemError('credential_not_found')
      metrics.revoked()
      const target = { target: 'credential', credential: id } as const
      audit.record({ event: 'credential.revoked', ...auditedFields(request), ...target })
      const { missing } = await control.applied(positions, confirmWithinMs)
      if (missing.length > 0) reply.header('cloudsignal-unconfirmed-replicas', missing.join(', '))
      return reply.code(204).send(null)
    },
  )
}
