/** Conditions of a status, as metav1.Condition. All functions are pure. */
import { isDeepStrictEqual } from 'node:util'
import { secondTime } from './time.ts'

export interface Condition {
  type: string
  status: 'True' | 'False' | 'Unknown'
  /** CamelCase, for programs. */
  reason: string
  /** For people; never a secret. */
  message: string
  observedGeneration?: number
  /** When `status` last changed; RFC 3339 in seconds. */
  lastTransitionTime: string
}

export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>

/**
 * The conditions with this one in it. Its place among them stays, a new one goes last; `now` is milliseconds
 * since the epoch and becomes lastTransitionTime only when `status` changes. Returns the same array when nothing
 * changed.
 */
export function setCondition(
  conditions: readonly Condition[],
  update: ConditionUpdate,
  now: number,
): readonly Condition[] {
  const before = conditions.find(({ type }) => type === update.type)
  const isSameStatus = before !== undefined && before.status === update.status
  const after: Condition = {
    ...update,
    lastTransitionTime: isSameStatus ? before.lastTransitionTime : secondTime(now),
  }
  if (before === undefined) return [...conditions, after]
  if (isSameStatus && isDeepStrictEqual(before, after)) return conditions
  return conditions.map((condition) => (condition === before ? after : condition))
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/**
 * Whether two statuses are the same once written as JSON, whatever the order of fields: then there is nothing to
 * write. An absent status equals an empty one.
 */
export function isSameStatus(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(asWritten(left), asWritten(right))
}

function asWritten(status: unknown): unknown {
  return JSON.parse(JSON.stringify(status ?? {}))
}
