import type { AccessRule } from '#core/access/access-rule.ts'
import type { CredentialKind } from '#core/credentials/credential-record.ts'
import type { IdentityProof } from './identify.ts'

/** A credential that somebody asks for by API key, in the service's own words. */
export interface TokenRequest {
  readonly kind: Exclude<CredentialKind, 'exchange'>
  readonly ttlSeconds: number | undefined
  readonly clientId: string | undefined
  /** How many connections its principal may have at most when it connects. */
  readonly connections?: number | undefined
  /** Who it is for: of an agent its id, of a worker its name. */
  readonly name?: string | undefined
  /** The person that an agent acts for, proven by an identity token. */
  readonly onBehalfOf?: IdentityProof | undefined
  /** Agents that handed the task on, the latest first. */
  readonly actors?: readonly string[] | undefined
  readonly attributes?: Readonly<Record<string, string>> | undefined
  /** Names of access lists; the person's or the organization's when absent. */
  readonly lists?: readonly string[] | undefined
  readonly narrowing?: readonly AccessRule[] | undefined
  readonly replace?: boolean | undefined
}
