import fc from 'fast-check'
import { type AccessPolicy, resolveAccess } from '#core/access/access-policy.ts'
import type { Access } from '#core/access/access.ts'
import type { AccessRule, Action, Qos } from '#core/access/access-rule.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { aFilter, topics, topicsOf } from './topic-universe.ts'

/** Worlds of rules, bounds and variables to ask in, and an oracle: what they say, as sets of topics. */
export interface Question {
  readonly topic: string
  readonly filter: string
  readonly qos: Qos
  readonly retain: boolean
}

const variables = ['user_id', 'claims.room'] as const
const unsafe = /^$|^\$|[+#/\0]/

const aValue = fc.constantFrom('a', 'b', 'a', 'b', undefined, '', '+', '#', 'a/b', 'a+', '$sys', 'a\0')
const someAttributes: fc.Arbitrary<Attributes> = fc
  .tuple(aValue, aValue)
  .map((values) =>
    Object.fromEntries(
      variables.flatMap((name, index) => (values[index] === undefined ? [] : [[name, values[index]]])),
    ),
  )

/** A filter some of whose levels are variables. */
const aTemplate = fc
  .tuple(
    aFilter,
    fc.array(fc.constantFrom('', '', ...variables.map((name) => `{${name}}`)), {
      minLength: 3,
      maxLength: 3,
    }),
  )
  .map(([filter, replaced]) =>
    filter
      .split('/')
      .map((level, index) => (level === '#' ? level : replaced[index] || level))
      .join('/'),
  )

const aWideFilter = fc.constantFrom('#', 'a/#', '+/+/#')
const aRule: fc.Arbitrary<AccessRule> = fc
  .record({
    effect: fc.constantFrom('allow', 'allow', 'deny'),
    actions: fc.constantFrom<Action[]>(['publish'], ['subscribe'], ['publish', 'subscribe']),
    // Wide ones among them, or nearly everything would be refused.
    topics: fc.array(fc.oneof(aTemplate, aWideFilter), {
      minLength: 1,
      maxLength: 2,
    }),
    maxQos: fc.constantFrom(undefined, undefined, 0, 1, 2),
    retain: fc.constantFrom(undefined, undefined, true, false),
  })
  .map(({ maxQos, retain, ...rule }) => ({
    ...rule,
    ...(maxQos === undefined ? {} : { maxQos }),
    ...(retain === undefined ? {} : { retain }),
  }))
export const someRules = fc.array(aRule, { maxLength: 5 })

const lists = ['one', 'two'] as const
export const someNames = fc.uniqueArray(fc.constantFrom(...lists, ...lists, ...lists, 'missing'), {
  minLength: 1,
  maxLength: 2,
})
const aPolicy: fc.Arbitrary<AccessPolicy> = fc
  .record({
    lists: fc.oneof(someNames, fc.constant<'one'[]>([])),
    rules: fc.oneof(someRules, fc.constant<AccessRule[]>([])),
    ceilings: fc.oneof(
      fc.constant<string[][]>([]),
      fc.array(someNames, { maxLength: 2 }),
      fc.constant<string[][]>([[]]),
    ),
    narrowing: fc.oneof(fc.constant(undefined), fc.constant(undefined), someRules),
  })
  .map(({ narrowing, ...policy }) => (narrowing === undefined ? policy : { ...policy, narrowing }))

export const aQuestion: fc.Arbitrary<Question> = fc.record({
  topic: fc.constantFrom(...topics),
  filter: fc
    .tuple(fc.constantFrom('', '', '', '$share/g/', '$share//', '$share/+/'), fc.oneof(aFilter, aWideFilter))
    .map(([prefix, filter]) => prefix + filter),
  qos: fc.constantFrom<Qos>(0, 1, 2),
  retain: fc.boolean(),
})

export interface World {
  readonly policy: AccessPolicy
  readonly defaults: readonly string[]
  readonly found: ReadonlyMap<string, { readonly rules: AccessRule[] }>
  readonly attributes: Attributes
}

export const aWorld: fc.Arbitrary<World> = fc.record({
  policy: aPolicy,
  defaults: someNames,
  found: fc
    .tuple(someRules, someRules)
    .map(([one, two]) => new Map([['one', { rules: one }] as const, ['two', { rules: two }] as const])),
  attributes: someAttributes,
})

/** What has to allow, each as its rules; undefined where a list is missing. */
function boundsOf({ policy, defaults, found }: World): (readonly AccessRule[] | undefined)[] {
  const rulesOf = (names: readonly string[]): AccessRule[] | undefined =>
    names.some((name) => !found.has(name)) ? undefined : names.flatMap((name) => found.get(name)?.rules ?? [])
  const isBare = policy.lists.length === 0 && policy.rules.length === 0
  const own = rulesOf(isBare ? defaults : policy.lists)
  return [
    own && [...own, ...policy.rules],
    ...policy.ceilings.map(rulesOf),
    ...(policy.narrowing === undefined ? [] : [policy.narrowing]),
  ]
}

/** The filters of a rule for somebody: of an allow those whose values are all good, of a deny with `+` for bad ones. */
function filtersOf(rule: AccessRule, attributes: Attributes): string[] {
  const valueOf = (level: string): string | undefined => {
    if (!level.startsWith('{')) return level
    const value = attributes[level.slice(1, -1)]
    return value === undefined || unsafe.test(value) ? undefined : value
  }
  return rule.topics.flatMap((template) => {
    const levels = template.split('/').map(valueOf)
    if (rule.effect === 'allow' && levels.includes(undefined)) return []
    return [levels.map((level) => level ?? '+').join('/')]
  })
}

export function oracleOf(world: World) {
  const bounds = boundsOf(world).map((rules) => {
    const of = (effect: string, action: Action) =>
      (rules ?? [])
        .filter((rule) => rule.effect === effect && rule.actions.includes(action))
        .flatMap((rule) =>
          filtersOf(rule, world.attributes).map((filter) => ({ rule, topics: topicsOf(filter) })),
        )
    return { of }
  })
  return {
    publish: ({ topic, qos, retain }: Question): boolean =>
      !topic.startsWith('$') &&
      bounds.every(
        ({ of }) =>
          !of('deny', 'publish').some(({ topics }) => topics.has(topic)) &&
          of('allow', 'publish').some(
            ({ rule, topics }) =>
              topics.has(topic) && qos <= (rule.maxQos ?? 2) && (!retain || rule.retain !== false),
          ),
      ),
    /** The highest QoS that is granted; undefined when nothing is. */
    subscribe(requested: string): number | undefined {
      const filter = withoutGroup(requested)
      if (filter === undefined || filter.startsWith('$')) return undefined
      const inner = topicsOf(filter)
      const granted = bounds.map(({ of }) => {
        if (of('deny', 'subscribe').some(({ topics }) => inner.isSubsetOf(topics))) return -1
        const allows = of('allow', 'subscribe').filter(({ topics }) => inner.isSubsetOf(topics))
        return Math.max(-1, ...allows.map(({ rule }) => rule.maxQos ?? 2))
      })
      const least = Math.min(...granted)
      return least === -1 ? undefined : least
    },
    /** What a granted subscription brings. */
    delivered: (filter: string): Set<string> =>
      new Set(
        [...topicsOf(withoutGroup(filter) ?? '')].filter((topic) =>
          bounds.every(({ of }) => !of('deny', 'subscribe').some(({ topics }) => topics.has(topic))),
        ),
      ),
    receive: (topic: string): boolean =>
      !topic.startsWith('$') &&
      bounds.every(
        ({ of }) =>
          !of('deny', 'subscribe').some(({ topics }) => topics.has(topic)) &&
          of('allow', 'subscribe').some(({ topics }) => topics.has(topic)),
      ),
  }
}

export function withoutGroup(requested: string): string | undefined {
  const [, group, filter] = /^\$share\/([^/]*)\/([^]+)$/.exec(requested) ?? []
  if (filter === undefined) return requested
  return group === '' || group === '+' ? undefined : filter
}

export const accessOf = ({ policy, defaults, found, attributes }: World): Access =>
  resolveAccess(policy, defaults, found, attributes)
