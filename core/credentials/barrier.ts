import type { Principal } from '#core/identity/principal.ts'
import type { CredentialRecord } from './credential-record.ts'

/**
 * Whose credentials a barrier ends: those of an organization, of one of its providers, or of one identity. What was
 * issued at or before it is worth nothing any more, and neither is an identity token of that age: it would undo it.
 */
export type BarrierTarget = 'organization' | `provider:${string}` | `principal:${Principal}`

/** All barriers that a credential may be behind. An agent goes with the person it acts for. */
export function barriersOf({
  provider,
  principal,
}: Pick<CredentialRecord, 'provider' | 'principal'>): readonly BarrierTarget[] {
  const targets: BarrierTarget[] = ['organization', `principal:${principal}`]
  const actsFor = /^agent:[^:]*:(.+)$/.exec(principal)?.[1]
  if (actsFor !== undefined) targets.push(`principal:${actsFor as Principal}`)
  if (provider !== undefined) targets.push(`provider:${provider}`)
  return targets
}
