import type { Attributes } from '#core/identity/attributes.ts'
import type { AccessRule, Action, Qos } from './access-rule.ts'
import { FilterSet } from './filter-set.ts'
import { fillForAllow, fillForDeny } from './identity-variables.ts'
import { covers, filterOf, isTopicFilter, overlaps } from './topic-filter.ts'
import type { Refused, RuleReference, Verdict } from './verdict.ts'

/** Rules with the name of the list they stand in, for verdicts that say which rule decided. */
export interface NamedRules {
  readonly list: string
  readonly rules: readonly AccessRule[]
}

/**
 * What one identity may do: rules with its attributes filled in, compiled once, asked on every packet.
 * Pure: no clock, no I/O. `publish` and `receive` allocate nothing when they allow.
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
}

/** Compiles lists for one identity. An allow whose variables can not be filled in does not apply. */
export function compileAccess(lists: readonly NamedRules[], attributes: Attributes): Access {
  const applied: AppliedRule[] = []
  for (const { list, rules } of lists) {
    for (const [index, rule] of rules.entries()) applyRule(rule, { list, index }, attributes, applied)
  }
  return new CompiledAccess(applied)
}

/** What several compiled lists all allow: an identity's own list inside the bounds of who issued it. */
export function intersectAccess(access: Access, bounds: readonly Access[]): Access {
  return bounds.length === 0 ? access : new IntersectedAccess([access, ...bounds])
}

/** One filter of a rule, with the verdict that it gives: a decision only picks one. */
interface AppliedRule {
  readonly effect: AccessRule['effect']
  readonly actions: readonly Action[]
  readonly filter: string
  readonly maxQos: Qos
  readonly retain: boolean
  readonly verdict: Verdict & { readonly rule: RuleReference }
}

function applyRule(
  rule: AccessRule,
  reference: RuleReference,
  attributes: Attributes,
  to: AppliedRule[],
): void {
  const { effect, actions } = rule
  const isAllow = effect === 'allow'
  // What a deny denies, it denies at every QoS.
  const maxQos = isAllow ? ((rule.maxQos ?? 2) as Qos) : 2
  const retain = isAllow ? (rule.retain ?? true) : true
  const verdict: AppliedRule['verdict'] = isAllow
    ? { allowed: true, maxQos, rule: reference }
    : { allowed: false, reason: 'deny-rule', rule: reference }
  for (const template of rule.topics) {
    const filter = isAllow ? fillForAllow(template, attributes) : fillForDeny(template, attributes)
    if (filter !== undefined) to.push({ effect, actions, filter, maxQos, retain, verdict })
  }
}

const noRule: Refused = { allowed: false, reason: 'no-rule' }
const reservedTopic: Refused = { allowed: false, reason: 'reserved-topic' }
const invalidTopic: Refused = { allowed: false, reason: 'invalid-topic' }

const dollar = 0x24

class CompiledAccess implements Access {
  /** Denies before allows: what comes first decides. */
  readonly #publish: FilterSet<AppliedRule>
  readonly #subscribe: FilterSet<AppliedRule>

  constructor(rules: readonly AppliedRule[]) {
    const ordered = [...rules.filter(isDeny), ...rules.filter((rule) => !isDeny(rule))]
    const publish = ordered.filter(({ actions }) => actions.includes('publish'))
    const subscribe = ordered.filter(({ actions }) => actions.includes('subscribe'))
    this.#publish = new FilterSet(publish)
    // Most lists speak of both at once: one set serves both then.
    const isOne = publish.length === rules.length && subscribe.length === rules.length
    this.#subscribe = isOne ? this.#publish : new FilterSet(subscribe)
  }

  publish(topic: string, qos: Qos, retain: boolean): Verdict {
    if (topic.charCodeAt(0) === dollar) return reservedTopic
    const rules = this.#publish
    return rules.first(topic, qos, retain)?.verdict ?? tooMuch(rules.first(topic, 0, false), qos)
  }

  subscribe(requested: string): Verdict {
    const filter = filterOf(requested)
    if (filter === undefined || !isTopicFilter(filter)) return invalidTopic
    if (filter.charCodeAt(0) === dollar) return reservedTopic
    let best: AppliedRule | undefined
    for (const rule of this.#subscribe.entries) {
      if (!covers(rule.filter, filter)) continue
      if (isDeny(rule)) return rule.verdict
      if (best === undefined || rule.maxQos > best.maxQos) best = rule
    }
    return best?.verdict ?? noRule
  }

  receive(topic: string): boolean {
    if (topic.charCodeAt(0) === dollar) return false
    return this.#subscribe.first(topic, 0, false)?.verdict.allowed === true
  }

  checkDelivery(requested: string): boolean {
    const filter = filterOf(requested) ?? requested
    return this.#subscribe.entries.some((rule) => isDeny(rule) && overlaps(rule.filter, filter))
  }
}

function isDeny({ effect }: AppliedRule): boolean {
  return effect === 'deny'
}

/** Why no rule speaks of a message, although an allow may speak of its topic. */
function tooMuch(allow: AppliedRule | undefined, qos: Qos): Refused {
  if (allow === undefined) return noRule
  const { rule } = allow.verdict
  return { allowed: false, reason: qos > allow.maxQos ? 'qos' : 'retain', rule }
}

class IntersectedAccess implements Access {
  readonly #parts: readonly Access[]

  constructor(parts: readonly Access[]) {
    this.#parts = parts
  }

  publish(topic: string, qos: Qos, retain: boolean): Verdict {
    let narrowest: Verdict = noRule
    for (let index = 0; index < this.#parts.length; index += 1) {
      const verdict = (this.#parts[index] as Access).publish(topic, qos, retain)
      if (!verdict.allowed) return verdict
      narrowest = narrower(narrowest, verdict)
    }
    return narrowest
  }

  subscribe(filter: string): Verdict {
    let narrowest: Verdict = noRule
    for (const part of this.#parts) {
      const verdict = part.subscribe(filter)
      if (!verdict.allowed) return verdict
      narrowest = narrower(narrowest, verdict)
    }
    return narrowest
  }

  receive(topic: string): boolean {
    for (let index = 0; index < this.#parts.length; index += 1) {
      if (!(this.#parts[index] as Access).receive(topic)) return false
    }
    return true
  }

  checkDelivery(filter: string): boolean {
    return this.#parts.some((part) => part.checkDelivery(filter))
  }
}

/** Of two grants the one with the lower QoS; `former` may be no grant yet. */
function narrower(former: Verdict, next: Verdict & { readonly allowed: true }): Verdict {
  return !former.allowed || next.maxQos < former.maxQos ? next : former
}
