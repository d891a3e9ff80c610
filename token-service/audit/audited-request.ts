import type { FastifyRequest } from 'fastify'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** What became known of a request on its way, for the event that it ends with. */
export interface AuditedRequest {
  /** One that exists. */
  organization?: OrganizationId
  kind?: string
  provider?: string
  principal?: string
  subject?: string | undefined
  credential?: string
  session?: string | undefined
  tokenId?: string | undefined
  actors?: string[]
}

declare module 'fastify' {
  interface FastifyRequest {
    audited: AuditedRequest
  }
  interface FastifyContextConfig {
    /** What a refusal of this route is; without it, only keys and limits are written down. */
    readonly refusal?: 'credential.refused' | 'credential.renewal-refused' | 'webhook.refused'
  }
}

/** Who asks, and for whom, as far as it is known. */
export function auditedFields(request: FastifyRequest) {
  const { caller, audited, ip, id } = request
  return { organization: caller?.organization, apiKey: caller?.name, address: ip, request: id, ...audited }
}

export function noteCredential(request: FastifyRequest, id: string, issued: IssuedCredential): void {
  const { kind, provider, principal, attributes, actors } = issued
  const ofProvider = provider === undefined ? {} : { provider }
  const byOthers = actors === undefined ? {} : { actors }
  Object.assign(request.audited, {
    kind,
    principal,
    credential: id,
    subject: attributes['user_id'],
    session: attributes['session_id'],
    ...ofProvider,
    ...byOthers,
  })
}

export const timeOf = (ms: number): string => new Date(ms).toISOString()
