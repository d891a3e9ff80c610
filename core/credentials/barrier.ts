import type { Principal } from '#core/identity/principal.ts'
import type { CredentialRecord } from './credential-record.ts'

/**
 * Whose credentials a barrier ends: those of an organization, of one of its providers, or of one identity. What was
 * issued at or before it is worth nothing any more, and neither is an identity token of that age: it would undo it.
 *
 * Those of an API key are what it alone vouches for: agents, workers and visitors, not people who signed in.
 *
 * `terms` are those on which a provider accepts somebody. Where they became narrower, identity tokens are judged by the new
 * ones, whenever they were issued.
 */
export type BarrierTarget =
  | 'organization'
  | `provider:${string}`
  | `terms:${string}`
  | `api-key:${string}`
  | `principal:${Principal}`

/** How what was issued under a record ends: for good, or so that proofs of that time are judged anew. */
export const issuedEnds = ['for-good', 'judged-anew'] as const
export type IssuedEnd = (typeof issuedEnds)[number]

/** The barrier behind which everything is that was issued under a record. */
export function barrierOfRecord(type: string, name: string, end: IssuedEnd): BarrierTarget | undefined {
  if (type === 'api-key') return end === 'for-good' ? `api-key:${name}` : undefined
  if (type !== 'provider') return undefined
  return end === 'for-good' ? `provider:${name}` : `terms:${name}`
}

type Issued = Pick<CredentialRecord, 'provider' | 'principal' | 'apiKey'> & {
  readonly kind?: CredentialRecord['kind']
}

/** All barriers that a credential may be behind. An agent goes with the person it acts for. */
export function barriersOf(issued: Issued): readonly BarrierTarget[] {
  const { provider, apiKey, kind } = issued
  const targets = [...barriersOfProof(issued)]
  if (provider !== undefined) targets.push(`terms:${provider}`)
  if (apiKey !== undefined && kind !== 'exchange') targets.push(`api-key:${apiKey}`)
  return targets
}

/** Those that the proof of an identity may be behind, for which a credential is issued. */
export function barriersOfProof({
  provider,
  principal,
}: Pick<Issued, 'provider' | 'principal'>): readonly BarrierTarget[] {
  const targets: BarrierTarget[] = ['organization', `principal:${principal}`]
  const actsFor = /^agent:[^:]*:(.+)$/.exec(principal)?.[1]
  if (actsFor !== undefined) targets.push(`principal:${actsFor as Principal}`)
  if (provider !== undefined) targets.push(`provider:${provider}`)
  return targets
}
