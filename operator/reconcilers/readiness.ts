import type { Condition } from '#core/resources/resource.ts'
import { findCondition, setCondition } from '../runtime/conditions.ts'

/**
 * Why an object is Ready or is not; the reason of its one condition, for programs.
 *
 * - `Synced`                 its record is in the store as the spec says
 * - `Suspended`              it is, and by the spec refuses everybody
 * - `OrganizationSuspended`  its Organization does
 * - `OrganizationNotFound`   organizationRef names nothing, or something that is being deleted
 * - `NamespaceNotAllowed`    the Organization does not list this namespace
 * - `ShortIdConflict`        an older Organization holds the short id
 * - `UsernameConflict`       an older MqttUser of the Organization holds the username
 * - `UserLimitReached`       others have all places that `limits.users` of the Organization gives
 * - `AccessListNotFound`     a list that it refers to is not there; what is missing denies
 * - `NoAccess`               no list and no rule applies: nothing is allowed
 * - `InvalidRules`           a topic can not be used; what was there before stays
 * - `InvalidPattern`         a regular expression can not be used; what was there before stays
 * - `PublicKeyUnusable`      the key in the settings can not verify tokens
 * - `SecretNotFound`         a Secret that it refers to is not there
 * - `SecretKeyMissing`       that Secret lacks the key, or it is empty or no key of ours
 * - `SecretUnusable`         what stands there can not be what it is for
 * - `SecretConflict`         a Secret of the name to be generated is there and belongs to somebody else
 * - `SealingKeyMissing`      the operator has no key to seal a secret with
 * - `Purging`                what it, or one before it of the same short id, has left is being removed by brokers
 * - `StoreUnavailable`       Redis could not be written; it is tried again
 */
export const readyReasons = [
  'Synced',
  'Suspended',
  'OrganizationSuspended',
  'OrganizationNotFound',
  'NamespaceNotAllowed',
  'ShortIdConflict',
  'UsernameConflict',
  'UserLimitReached',
  'AccessListNotFound',
  'NoAccess',
  'InvalidRules',
  'InvalidPattern',
  'PublicKeyUnusable',
  'SecretNotFound',
  'SecretKeyMissing',
  'SecretUnusable',
  'SecretConflict',
  'SealingKeyMissing',
  'Purging',
  'StoreUnavailable',
] as const
export type ReadyReason = (typeof readyReasons)[number]

export interface Readiness {
  readonly isReady: boolean
  readonly reason: ReadyReason
  /** For people, with what to do; never a secret. */
  readonly message: string
}

export const synced = (message: string): Readiness => ({ isReady: true, reason: 'Synced', message })

export const notReady = (reason: Exclude<ReadyReason, 'Synced'>, message: string): Readiness => ({
  isReady: false,
  reason,
  message,
})

interface WithConditions {
  readonly metadata: { readonly generation: number }
  readonly status?: { readonly conditions?: readonly Condition[] } | undefined
}

/** The reason of the Ready condition as it stands in the status. */
export function readyReasonOf(resource: WithConditions): string | undefined {
  return readyCondition(resource)?.reason
}

/** The status fields that every kind has, with this readiness in them. */
export function withReadiness(
  resource: WithConditions,
  readiness: Readiness,
  now: number,
): { observedGeneration: number; conditions: Condition[] } {
  const update = {
    type: 'Ready',
    status: readiness.isReady ? 'True' : 'False',
    reason: readiness.reason,
    message: readiness.message,
    observedGeneration: resource.metadata.generation,
  } as const
  const conditions = setCondition(resource.status?.conditions ?? [], update, now)
  return { observedGeneration: resource.metadata.generation, conditions: [...conditions] }
}

/** Whether the status says already that this generation is in the store. */
export function wasSynced(resource: WithConditions): boolean {
  const condition = readyCondition(resource)
  return condition?.status === 'True' && condition.observedGeneration === resource.metadata.generation
}

function readyCondition(resource: WithConditions): Condition | undefined {
  return findCondition(resource.status?.conditions, 'Ready')
}
