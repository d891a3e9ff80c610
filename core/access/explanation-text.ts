import type { AccessPart } from './access-policy.ts'
import type { AccessRequest, AppliedTopic, Explanation, NearMiss } from './explain.ts'
import type { RefusalReason, RuleReference } from './verdict.ts'

/** What was decided, in one sentence. */
export function summaryOf(explanation: Explanation, request: AccessRequest): string {
  const { verdict } = explanation
  if (verdict.allowed) return `Allowed by ${ruleIn(explanation)}${limits(explanation, request)}.`
  const { missingLists, decidedBy } = explanation
  if (verdict.reason === 'no-rule' && missingLists.length > 0) {
    return `Denied: there is no AccessList ${missingLists.join(', ')}, and a missing list denies everything.`
  }
  return `Denied: ${refusals[verdict.reason](explanation, places[decidedBy])}.`
}

/** What keeps a rule that comes near from allowing it, in one sentence. */
export function whyNot(miss: NearMiss, { action }: AccessRequest): string {
  const allows = `${placeOf(miss)} allows ${miss.topic}`
  switch (miss.because) {
    case 'action':
      return `${allows}, but only to ${miss.actions.join(' and ')}.`
    case 'value':
      return `${allows}, and ${describeValues(miss)}.`
    case 'variable':
      return `${allows}, but does not apply: ${describeUnusable(miss)}.`
    case 'wider':
      return `${allows}; the filter reaches beyond that.`
    case 'topic':
      return `${allows}, which is another ${action === 'publish' ? 'topic' : 'filter'}.`
  }
}

/** Where a rule stands, as a manifest is read. */
function placeOf({ list, index }: RuleReference): string {
  return `rules[${index}] of ${list}`
}

const places: Readonly<Record<AccessPart['kind'], string>> = {
  own: 'of the identity itself',
  ceiling: 'of the ceiling',
  narrowing: 'of what the credential was narrowed to',
}

const refusals: Readonly<Record<RefusalReason, (explanation: Explanation, place: string) => string>> = {
  'no-rule': ({ lists }, place) =>
    lists.length === 0 ? 'no access list and no rule applies' : `no rule ${place} allows it`,
  'deny-rule': (explanation) => `${ruleIn(explanation)} denies it${widened(explanation.rule)}`,
  qos: (explanation) => `${ruleIn(explanation)} allows it, but not at this QoS`,
  retain: (explanation) => `${ruleIn(explanation)} allows it, but not as a retained message`,
  'reserved-topic': () =>
    'topics that begin with $ are closed, but for $cloudsignal/credential/… of the own connection, which takes no list',
  'invalid-topic': () => 'this is no topic that can be published or subscribed to',
}

function ruleIn({ rule }: Explanation): string {
  return rule === undefined ? 'a rule' : `${placeOf(rule)} (${rule.topic})`
}

function limits({ verdict, exceptions }: Explanation, { action, qos }: AccessRequest): string {
  const parts: string[] = []
  if (verdict.allowed && action === 'subscribe' && verdict.maxQos < qos)
    parts.push(`at QoS ${verdict.maxQos} at most`)
  if (exceptions.length > 0) {
    parts.push(
      `except for messages that ${exceptions.map((each) => `${placeOf(each)} (${each.topic})`).join(', ')} denies`,
    )
  }
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`
}

/** A deny whose variable has no value denies in place of every value. */
function widened(rule: AppliedTopic | undefined): string {
  return rule === undefined || rule.unusable.length === 0 ? '' : `, for any value: ${describeUnusable(rule)}`
}

function describeValues({ values }: AppliedTopic): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} is ${JSON.stringify(value)}`)
    .join(', ')
}

function describeUnusable({ unusable }: AppliedTopic): string {
  return unusable
    .map(({ name, problem }) =>
      problem === 'missing' ? `${name} has no value here` : `the value of ${name} may not stand in a topic`,
    )
    .join(', ')
}
