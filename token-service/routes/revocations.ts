import { type Static, Type } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import { isLocalPart, isTemporary } from '#core/credentials/username.ts'
import type { Log } from '#core/process/logger.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Applied, ControlLogWitness } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../app.ts'
import { auditedFields } from '../audit/audited-request.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { organizationOf } from '../organization-of.ts'
import { bodyProblems, keyProblems } from '../openapi/route-docs.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { principal, principalsNamed, userId } from './named-principals.ts'
import { closed } from './request-fields.ts'

export interface RevocationsRouteOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  readonly control: ControlLogWitness
  readonly metrics: TokenServiceMetrics
  readonly log: Log
  readonly audit: Audit
}

/** How long a call waits for the replicas of the broker. */
export const confirmWithinMs = 1_000

const targets = ['id', 'principal', 'user_id', 'provider', 'api_key', 'organization'] as const

const RevocationRequest = Type.Object(
  {
    id: Type.Optional(Type.String({ description: 'One credential: the id that the exchange gave.' })),
    principal: Type.Optional(principal),
    user_id: Type.Optional(userId),
    provider: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 253,
        description: 'All that was exchanged by this IdentityProvider.',
      }),
    ),
    api_key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 253,
        description: 'All tokens of agents, workers and visitors that were made by this ApiKey.',
      }),
    ),
    organization: Type.Optional(
      Type.Literal(true, { description: 'All temporary credentials of the organization.' }),
    ),
    issued_before: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'Only what was issued by then; all by default. Not together with id.',
      }),
    ),
  },
  closed,
)

const RevocationAnswer = Type.Object({
  revoked_at: Type.String({
    format: 'date-time',
    description: 'What was issued by then is worth nothing any more, identity tokens included.',
  }),
  ended_connections: Type.Integer({ minimum: 0 }),
  unconfirmed_replicas: Type.Array(Type.String(), {
    description:
      'Replicas of the broker that have not said within a second that it is done; they carry it out later.',
  }),
})

export function revocationsRoute(app: App, options: RevocationsRouteOptions): void {
  const { identities, audit } = options
  app.post(
    '/v1/revocations',
    {
      schema: { body: RevocationRequest, response: { 200: RevocationAnswer } },
      onRequest: requireApiKey(identities, 'revoke'),
      config: {
        docs: {
          tag: 'Tokens',
          summary: 'Revoke credentials',
          description:
            'Of a person, a principal, a provider, an API key or the whole organization, in one step: the credentials are worth ' +
            'nothing, their connections end on every replica, and the identity tokens they were exchanged for can ' +
            'not be exchanged again.',
          caller: 'apiKey',
          problems: [...keyProblems, ...bodyProblems, 'credential_not_found', 'provider_not_found'],
          example: { user_id: 'user_2Q9vVXS' },
        },
      },
    },
    async (request): Promise<Static<typeof RevocationAnswer>> => {
      const { body, caller } = request
      if (caller === null) throw new ProblemError('invalid_api_key')
      await organizationOf(identities, caller)
      checkTarget(body)
      const { at, positions } = await revoke(options, caller.organization, body)
      audit.record({ event: 'credential.revoked', ...auditedFields(request), ...targetOf(body) })
      const { ended, missing } = await confirmed(options, caller.organization, positions)
      return {
        revoked_at: new Date(at).toISOString(),
        ended_connections: ended,
        unconfirmed_replicas: [...missing],
      }
    },
  )
}

/** Waits until the replicas of the broker have ended what a revocation ends, and no longer than callers wait. */
export async function confirmed(
  { control, metrics, log }: Pick<RevocationsRouteOptions, 'control' | 'metrics' | 'log'>,
  organization: OrganizationId,
  positions: readonly string[],
): Promise<Applied> {
  const applied = await control.applied(positions, confirmWithinMs)
  metrics.revoked()
  if (applied.missing.length > 0) {
    const fields = { organization, replicas: applied.missing }
    log.warn(fields, 'replicas have not confirmed a revocation')
  }
  return applied
}

function checkTarget(body: Static<typeof RevocationRequest>): void {
  const given = targets.filter((name) => body[name] !== undefined)
  const remedy = `give exactly one of ${targets.join(', ')}`
  if (given.length !== 1) {
    throw new ProblemError('invalid_request', { errors: [{ field: given[1] ?? 'id', remedy }] })
  }
  if (body.id !== undefined && body.issued_before !== undefined) {
    const remedy = 'leave it out: the id names one credential'
    throw new ProblemError('invalid_request', { errors: [{ field: 'issued_before', remedy }] })
  }
}

function targetOf(body: Static<typeof RevocationRequest>) {
  const { id, principal, user_id, provider, api_key: issuedBy, issued_before } = body
  const issuedBefore = issued_before
  if (id !== undefined) return { target: 'credential', credential: id } as const
  if (principal !== undefined) return { target: 'principal', principal, issuedBefore } as const
  if (user_id !== undefined) return { target: 'subject', subject: user_id, issuedBefore } as const
  if (provider !== undefined) return { target: 'provider', provider, issuedBefore } as const
  if (issuedBy !== undefined) return { target: 'api-key', issuedBy, issuedBefore } as const
  return { target: 'organization', issuedBefore } as const
}

/** When, and the positions of its entries in the control log. */
interface Revocation {
  readonly at: number
  readonly positions: readonly string[]
}

async function revoke(
  { identities, credentials }: RevocationsRouteOptions,
  organization: OrganizationId,
  body: Static<typeof RevocationRequest>,
): Promise<Revocation> {
  if (body.id !== undefined) return revokeOne(credentials, organization, body.id)
  const issuedBefore = body.issued_before === undefined ? undefined : Date.parse(body.issued_before)
  let at = 0
  const positions: string[] = []
  for (const target of await barriersNamed(identities, organization, body)) {
    const raised = await credentials.raiseBarrier(organization, target, issuedBefore)
    at = raised.at
    positions.push(raised.position)
  }
  return { at, positions }
}

async function revokeOne(
  credentials: CredentialStore,
  organization: OrganizationId,
  id: string,
): Promise<Revocation> {
  if (!isTemporary(id) || !isLocalPart(id)) throw new ProblemError('credential_not_found')
  // Said again in the control log when it was gone already: the first call may have been cut in between.
  const { wasThere, positions } = await credentials.revoke(organization, id)
  if (!wasThere) throw new ProblemError('credential_not_found')
  return { at: Date.now(), positions }
}

async function barriersNamed(
  identities: IdentityReader,
  organization: OrganizationId,
  body: Static<typeof RevocationRequest>,
): Promise<readonly BarrierTarget[]> {
  if (body.organization === true) return ['organization']
  if (body.provider !== undefined) return [`provider:${body.provider}`]
  if (body.api_key !== undefined) return [`api-key:${body.api_key}`]
  const principals = (await principalsNamed(identities, organization, body)) ?? []
  if (principals.length > 0) return principals.map((each): BarrierTarget => `principal:${each}`)
  throw new ProblemError('provider_not_found', {
    errors: [{ field: 'user_id', remedy: 'the organization has no IdentityProvider that could know it' }],
  })
}
