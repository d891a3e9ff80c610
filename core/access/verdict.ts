import type { Qos } from './access-rule.ts'

/** Which rule decided: the list's name and the rule's index in it. */
export interface RuleReference {
  readonly list: string
  readonly index: number
}

/** The answer to one request. `allowed` carries what is granted; a refusal says why and which rule, if one did. */
export type Verdict = { readonly allowed: true; readonly maxQos: Qos; readonly rule: RuleReference } | Refused

export interface Refused {
  readonly allowed: false
  readonly reason: RefusalReason
  readonly rule?: RuleReference
}

export type RefusalReason =
  /** no allow rule matches */
  | 'no-rule'
  /** a deny rule matches */
  | 'deny-rule'
  /** an allow matches, but not at this QoS */
  | 'qos'
  /** an allow matches, but not for a retained message */
  | 'retain'
  /** the topic lies under a `$` root */
  | 'reserved-topic'
  /** the text is no topic name, or no topic filter */
  | 'invalid-topic'
