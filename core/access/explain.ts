import type { Attributes } from '#core/identity/attributes.ts'
import {
  type AccessPart,
  type AccessPolicy,
  compilePart,
  type FoundLists,
  listsOf,
  partsOf,
} from './access-policy.ts'
import type { NamedRules } from './access.ts'
import type { AccessRule, Action, Qos } from './access-rule.ts'
import {
  fillForAllow,
  fillForDeny,
  type UnusableVariable,
  unusableVariables,
  valuesIn,
} from './identity-variables.ts'
import { covers, filterOf, isTopicName, matches, overlaps } from './topic-filter.ts'
import type { RuleReference, Verdict } from './verdict.ts'

/** Somebody wants to do something. */
export interface AccessRequest {
  readonly action: Action
  /** A topic name to publish to, or a filter to subscribe to. */
  readonly topic: string
  /** Of a publish; a subscription gets the highest that is allowed. */
  readonly qos: Qos
  readonly retain: boolean
}

/** Who wants it: what `resolveAccess` takes. */
export interface AccessSubject {
  readonly policy: AccessPolicy
  readonly defaults: readonly string[]
  readonly found: FoundLists
  readonly attributes: Attributes
}

export interface Explanation {
  /** Exactly what the broker decides. */
  readonly verdict: Verdict
  /** Which of all that has to allow it decided. */
  readonly decidedBy: AccessPart['kind']
  /** The rule that decided, if one did. */
  readonly rule?: AppliedTopic
  /** Every list that counts; those that are missing deny everything. */
  readonly lists: readonly string[]
  readonly missingLists: readonly string[]
  /** Denies inside a granted subscription: messages they speak of are not delivered. */
  readonly exceptions: readonly AppliedTopic[]
  /** Where no rule allows it: allows that come near, the nearest first, and what keeps each from it. */
  readonly nearest: readonly NearMiss[]
}

/** A topic of a rule as it applies to somebody. */
export interface AppliedTopic extends RuleReference {
  readonly effect: AccessRule['effect']
  readonly actions: readonly Action[]
  /** As it stands in the rule. */
  readonly topic: string
  /** Filled in; absent where an allow does not apply. */
  readonly filter?: string
  readonly values: Attributes
  readonly unusable: readonly UnusableVariable[]
}

export interface NearMiss extends AppliedTopic {
  readonly because:
    /** the rule is about the other action */
    | 'action'
    /** a variable has another value than the topic */
    | 'value'
    /** a variable has no value that may be used */
    | 'variable'
    /** the filter reaches beyond what the rule allows */
    | 'wider'
    /** the topic only begins alike; told where nothing comes nearer */
    | 'topic'
}

const mostNearest = 5

/** What is decided about a request, by which rule, and where none allows it, what comes near. */
export function explain(subject: AccessSubject, request: AccessRequest): Explanation {
  const { policy, defaults, found, attributes } = subject
  const parts = partsOf(policy, defaults, found)
  const { part, verdict } = decidingPart(parts, attributes, request)
  const rule = verdict.rule === undefined ? undefined : appliedTopic(part, verdict.rule, attributes, request)
  return {
    verdict,
    decidedBy: part.kind,
    ...(rule === undefined ? {} : { rule }),
    lists: listsOf(policy, defaults),
    missingLists: [...new Set(parts.flatMap(({ missing }) => missing))],
    exceptions:
      verdict.allowed && request.action === 'subscribe' ? exceptions(parts, attributes, request) : [],
    nearest: !verdict.allowed && verdict.reason === 'no-rule' ? nearest(part, attributes, request) : [],
  }
}

interface Decided {
  readonly part: AccessPart
  readonly verdict: Verdict
}

/** As in an intersection: the first part that refuses, else the one that grants least. */
function decidingPart(
  parts: readonly [AccessPart, ...AccessPart[]],
  attributes: Attributes,
  { action, topic, qos, retain }: AccessRequest,
): Decided {
  if (action === 'publish' && !isTopicName(topic)) {
    return { part: parts[0], verdict: { allowed: false, reason: 'invalid-topic' } }
  }
  let least: Decided | undefined
  for (const part of parts) {
    const access = compilePart(part, attributes)
    const verdict = action === 'publish' ? access.publish(topic, qos, retain) : access.subscribe(topic)
    if (!verdict.allowed) return { part, verdict }
    if (least === undefined || (least.verdict.allowed && verdict.maxQos < least.verdict.maxQos)) {
      least = { part, verdict }
    }
  }
  return least as Decided
}

/** Whether a filter holds what is asked for. */
function holds(filter: string, { action, topic }: AccessRequest): boolean {
  return action === 'publish' ? matches(filter, topic) : covers(filter, filterOf(topic) ?? topic)
}

function appliedTopic(
  { lists }: AccessPart,
  { list, index }: RuleReference,
  attributes: Attributes,
  request: AccessRequest,
): AppliedTopic | undefined {
  return topicsOf(lists, attributes).find(
    (each) =>
      each.list === list && each.index === index && each.filter !== undefined && holds(each.filter, request),
  )
}

function topicsOf(lists: readonly NamedRules[], attributes: Attributes): AppliedTopic[] {
  return lists.flatMap(({ list, rules }) =>
    rules.flatMap(({ effect, actions, topics }, index) =>
      topics.map((topic) => {
        const fill = effect === 'allow' ? fillForAllow : fillForDeny
        const filter = fill(topic, attributes)
        const values = valuesIn(topic, attributes)
        const unusable = unusableVariables(topic, attributes)
        return {
          list,
          index,
          effect,
          actions,
          topic,
          ...(filter === undefined ? {} : { filter }),
          values,
          unusable,
        }
      }),
    ),
  )
}

function exceptions(
  parts: readonly AccessPart[],
  attributes: Attributes,
  { topic }: AccessRequest,
): AppliedTopic[] {
  const filter = filterOf(topic) ?? topic
  return parts
    .flatMap(({ lists }) => topicsOf(lists, attributes))
    .filter(({ effect, actions }) => effect === 'deny' && actions.includes('subscribe'))
    .filter((deny) => deny.filter !== undefined && overlaps(deny.filter, filter))
}

function nearest(part: AccessPart, attributes: Attributes, request: AccessRequest): NearMiss[] {
  // A missing list denies whatever the others say.
  if (part.missing.length > 0) return []
  const misses = topicsOf(part.lists, attributes)
    .filter(({ effect }) => effect === 'allow')
    .flatMap((allow) => {
      const near = nearness(allow, request)
      return near === undefined ? [] : [{ rank: near.rank, miss: { ...allow, because: near.because } }]
    })
    .toSorted((left, right) => left.rank - right.rank)
    .map(({ miss }) => miss)
  const close = misses.filter(({ because }) => because !== 'topic')
  return (close.length > 0 ? close : misses).slice(0, mostNearest)
}

function nearness(
  { topic: template, filter, actions }: AppliedTopic,
  request: AccessRequest,
): { readonly because: NearMiss['because']; readonly rank: number } | undefined {
  if (filter !== undefined && holds(filter, request)) return { because: 'action', rank: 0 }
  if (!actions.includes(request.action)) return undefined
  // Every variable as if it had the right value.
  const widest = fillForDeny(template, {})
  if (holds(widest, request))
    return filter === undefined ? { because: 'variable', rank: 2 } : { because: 'value', rank: 1 }
  const asked = filterOf(request.topic) ?? request.topic
  if (request.action === 'subscribe' && overlaps(filter ?? widest, asked))
    return { because: 'wider', rank: 3 }
  const common = levelsInCommon(widest, asked)
  return common === 0 ? undefined : { because: 'topic', rank: 4 + 1 / common }
}

function levelsInCommon(filter: string, topic: string): number {
  const [left, right] = [filter.split('/'), topic.split('/')]
  const apart = left.findIndex((level, index) => level !== '+' && level !== right[index])
  return apart === -1 ? left.length : apart
}
