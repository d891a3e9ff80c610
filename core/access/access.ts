import type { Attributes } from '#core/identity/attributes.ts'
import type { AccessRule, Action, Qos } from './access-rule.ts'
import { fillForAllow, fillForDeny } from './identity-variables.ts'
import { covers, isTopicFilter, matches, overlaps } from './topic-filter.ts'

/** Rules with the name of the list they stand in, for verdicts that say which rule decided. */
export interface NamedRules {
  readonly list: string
  readonly rules: readonly AccessRule[]
}

/** Which rule decided: the list's name and the rule's index in it. */
export interface RuleReference {
  readonly list: string
  readonly index: number
}

/** The answer to one request. `allowed` carries what is granted; a refusal says why and which rule, if one did. */
export type Verdict =
  | { readonly allowed: true; readonly maxQos: Qos; readonly rule: RuleReference }
  | { readonly allowed: false; readonly reason: RefusalReason; readonly rule?: RuleReference }

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
  /** the text is no topic filter */
  | 'invalid-filter'

interface CompiledRule {
  readonly filter: string
  readonly maxQos: Qos
  readonly retain: boolean
  readonly rule: RuleReference
}

/**
 * What one identity may do: rules with its attributes filled in, compiled once, asked on every packet.
 * Pure: no clock, no I/O.
 */
export interface Access {
  /** May it publish to this topic name at this QoS, retained or not? */
  publish(topic: string, qos: Qos, retain: boolean): Verdict
  /** May it subscribe to this filter (also `$share/<group>/<filter>`)? `maxQos` bounds the granted QoS. */
  subscribe(filter: string): Verdict
  /** May it receive a message of this topic? Asked per delivery where `checkDelivery` says so. */
  receive(topic: string): boolean
  /** True when a granted filter overlaps a deny, so that each delivery has to be asked for. */
  checkDelivery(filter: string): boolean
  /** False when no rule allows anything. */
  readonly any: boolean
}

/** Compiles lists for one identity. An allow whose variables can not be filled in does not apply. */
export function compileAccess(lists: readonly NamedRules[], attributes: Attributes): Access {
  return new CompiledAccess(lists, attributes)
}

/** What several compiled lists all allow: an identity's own list inside the ceilings of who issued it. */
export function intersectAccess(access: Access, ceilings: readonly Access[]): Access {
  return ceilings.length === 0 ? access : new IntersectedAccess([access, ...ceilings])
}

class CompiledAccess implements Access {
  readonly any: boolean
  readonly #allow: Record<Action, CompiledRule[]> = { publish: [], subscribe: [] }
  readonly #deny: Record<Action, CompiledRule[]> = { publish: [], subscribe: [] }

  constructor(lists: readonly NamedRules[], attributes: Attributes) {
    for (const { list, rules } of lists) {
      for (const [index, rule] of rules.entries()) this.#add(rule, { list, index }, attributes)
    }
    this.any = this.#allow.publish.length > 0 || this.#allow.subscribe.length > 0
  }

  publish(topic: string, qos: Qos, retain: boolean): Verdict {
    if (topic.startsWith('$')) return { allowed: false, reason: 'reserved-topic' }
    for (const deny of this.#deny.publish) {
      if (matches(deny.filter, topic)) return { allowed: false, reason: 'deny-rule', rule: deny.rule }
    }
    let refusal: Verdict = { allowed: false, reason: 'no-rule' }
    for (const allow of this.#allow.publish) {
      if (!matches(allow.filter, topic)) continue
      if (qos > allow.maxQos) refusal = { allowed: false, reason: 'qos', rule: allow.rule }
      else if (retain && !allow.retain) refusal = { allowed: false, reason: 'retain', rule: allow.rule }
      else return { allowed: true, maxQos: allow.maxQos, rule: allow.rule }
    }
    return refusal
  }

  subscribe(requested: string): Verdict {
    const filter = filterOf(requested)
    if (filter === undefined || !isTopicFilter(filter)) return { allowed: false, reason: 'invalid-filter' }
    if (filter.startsWith('$')) return { allowed: false, reason: 'reserved-topic' }
    for (const deny of this.#deny.subscribe) {
      if (covers(deny.filter, filter)) return { allowed: false, reason: 'deny-rule', rule: deny.rule }
    }
    let best: CompiledRule | undefined
    for (const allow of this.#allow.subscribe) {
      if (covers(allow.filter, filter) && (best === undefined || allow.maxQos > best.maxQos)) best = allow
    }
    return best === undefined
      ? { allowed: false, reason: 'no-rule' }
      : { allowed: true, maxQos: best.maxQos, rule: best.rule }
  }

  receive(topic: string): boolean {
    return (
      !topic.startsWith('$') &&
      !this.#deny.subscribe.some((deny) => matches(deny.filter, topic)) &&
      this.#allow.subscribe.some((allow) => matches(allow.filter, topic))
    )
  }

  checkDelivery(requested: string): boolean {
    const filter = filterOf(requested) ?? requested
    return this.#deny.subscribe.some((deny) => overlaps(deny.filter, filter))
  }

  #add(rule: AccessRule, reference: RuleReference, attributes: Attributes): void {
    for (const template of rule.topics) {
      const filter =
        rule.effect === 'allow' ? fillForAllow(template, attributes) : fillForDeny(template, attributes)
      if (filter === undefined) continue
      const compiled: CompiledRule = {
        filter,
        maxQos: (rule.maxQos ?? 2) as Qos,
        retain: rule.retain ?? true,
        rule: reference,
      }
      const side = rule.effect === 'allow' ? this.#allow : this.#deny
      for (const action of rule.actions) side[action].push(compiled)
    }
  }
}

class IntersectedAccess implements Access {
  readonly any: boolean
  readonly #parts: readonly Access[]

  constructor(parts: readonly Access[]) {
    this.#parts = parts
    this.any = parts.every((part) => part.any)
  }

  publish(topic: string, qos: Qos, retain: boolean): Verdict {
    return narrowest(this.#parts.map((part) => part.publish(topic, qos, retain)))
  }

  subscribe(filter: string): Verdict {
    return narrowest(this.#parts.map((part) => part.subscribe(filter)))
  }

  receive(topic: string): boolean {
    return this.#parts.every((part) => part.receive(topic))
  }

  checkDelivery(filter: string): boolean {
    return this.#parts.some((part) => part.checkDelivery(filter))
  }
}

function narrowest(verdicts: readonly Verdict[]): Verdict {
  let narrow: Verdict | undefined
  for (const verdict of verdicts) {
    if (!verdict.allowed) return verdict
    if (narrow === undefined || (narrow.allowed && verdict.maxQos < narrow.maxQos)) narrow = verdict
  }
  return narrow ?? { allowed: false, reason: 'no-rule' }
}

/** MQTT 5 §4.8.2: `$share/<group>/<filter>` is judged by its filter. Undefined when the group or filter is missing. */
function filterOf(requested: string): string | undefined {
  if (!requested.startsWith('$share/')) return requested
  const slash = requested.indexOf('/', '$share/'.length)
  const group = requested.slice('$share/'.length, slash === -1 ? undefined : slash)
  return slash === -1 || group.length === 0 || /[+#]/.test(group) ? undefined : requested.slice(slash + 1)
}
