import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AccessPolicy, resolveAccess } from '#core/access/access-policy.ts'
import type { Access } from '#core/access/access.ts'
import type { AccessRule, Action, Qos } from '#core/access/access-rule.ts'
import { isTopicFilter } from '#core/access/topic-filter.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { aFilter, topics, topicsOf } from './topic-universe.ts'

/** The oracle: what rules say, as sets of topics, in the words of design section 4. */
interface Question {
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
const someRules = fc.array(aRule, { maxLength: 5 })

const lists = ['one', 'two'] as const
const someNames = fc.uniqueArray(fc.constantFrom(...lists, ...lists, ...lists, 'missing'), {
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

const aQuestion: fc.Arbitrary<Question> = fc.record({
  topic: fc.constantFrom(...topics),
  filter: fc
    .tuple(fc.constantFrom('', '', '', '$share/g/', '$share//', '$share/+/'), fc.oneof(aFilter, aWideFilter))
    .map(([prefix, filter]) => prefix + filter),
  qos: fc.constantFrom<Qos>(0, 1, 2),
  retain: fc.boolean(),
})

interface World {
  readonly policy: AccessPolicy
  readonly defaults: readonly string[]
  readonly found: ReadonlyMap<string, { readonly rules: AccessRule[] }>
  readonly attributes: Attributes
}

const aWorld: fc.Arbitrary<World> = fc.record({
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

function oracleOf(world: World) {
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

function withoutGroup(requested: string): string | undefined {
  const [, group, filter] = /^\$share\/([^/]*)\/([^]+)$/.exec(requested) ?? []
  if (filter === undefined) return requested
  return group === '' || group === '+' ? undefined : filter
}

const accessOf = ({ policy, defaults, found, attributes }: World): Access =>
  resolveAccess(policy, defaults, found, attributes)

describe('whatever the rules, bounds and variables', () => {
  // Ten questions to each: half a million decisions a run.
  const questions = fc.array(aQuestion, { minLength: 10, maxLength: 10 })
  const runs = { numRuns: 12_500 }

  test('a decision agrees with the oracle, which knows sets of topics', () => {
    fc.assert(
      fc.property(aWorld, questions, (world, asked) => {
        const [access, oracle] = [accessOf(world), oracleOf(world)]
        for (const question of asked) {
          const { topic, filter, qos, retain } = question
          expect(access.publish(topic, qos, retain).allowed).toBe(oracle.publish(question))
          const verdict = access.subscribe(filter)
          expect(verdict.allowed ? verdict.maxQos : undefined).toBe(oracle.subscribe(filter))
          expect(access.receive(topic)).toBe(oracle.receive(topic))
        }
      }),
      runs,
    )
  })

  test('a granted subscription brings what no deny speaks of, also where only each delivery is asked for', () => {
    fc.assert(
      fc.property(aWorld, questions, (world, asked) => {
        const [access, oracle] = [accessOf(world), oracleOf(world)]
        for (const { filter } of asked) {
          if (!access.subscribe(filter).allowed) continue
          const mustAsk = access.checkDelivery(filter)
          const reached = [...topicsOf(withoutGroup(filter) ?? '')]
          const delivered = new Set(reached.filter((topic) => !mustAsk || access.receive(topic)))
          expect(delivered).toEqual(oracle.delivered(filter))
        }
      }),
      runs,
    )
  })

  test('a bound never adds anything', () => {
    fc.assert(
      fc.property(aWorld, someRules, someNames, questions, (world, narrowing, ceiling, asked) => {
        const { narrowing: _, ...policy } = world.policy
        const wide = accessOf({ ...world, policy })
        const bounded = { ...policy, ceilings: [...policy.ceilings, ceiling], narrowing }
        const narrow = accessOf({ ...world, policy: bounded })
        for (const { topic, filter, qos, retain } of asked) {
          if (narrow.publish(topic, qos, retain).allowed) {
            expect(wide.publish(topic, qos, retain).allowed).toBe(true)
          }
          if (narrow.receive(topic)) expect(wide.receive(topic)).toBe(true)
          const [less, more] = [narrow.subscribe(filter), wide.subscribe(filter)]
          if (less.allowed) expect(more.allowed && less.maxQos <= more.maxQos).toBe(true)
        }
      }),
      runs,
    )
  })

  test('what an unsafe or missing value allows, every safe one allows too', () => {
    const values = ['a', 'b']
    fc.assert(
      fc.property(aWorld, aQuestion, (world, { topic, filter, qos, retain }) => {
        const bad = accessOf({ ...world, attributes: { ...world.attributes, user_id: 'a/#' } })
        for (const user_id of values) {
          const good = accessOf({ ...world, attributes: { ...world.attributes, user_id } })
          if (bad.publish(topic, qos, retain).allowed) {
            expect(good.publish(topic, qos, retain).allowed).toBe(true)
          }
          if (bad.subscribe(filter).allowed) expect(good.subscribe(filter).allowed).toBe(true)
          if (bad.receive(topic)) expect(good.receive(topic)).toBe(true)
        }
      }),
      runs,
    )
  })
})

test('the worlds are not all alike: what is asked is now granted, now refused, now asked for each message', () => {
  let [granted, refused, asked, published] = [0, 0, 0, 0]
  const sample = fc.sample(fc.tuple(aWorld, aQuestion), { numRuns: 5_000, seed: 1 })
  for (const [world, { topic, filter }] of sample) {
    const access = accessOf(world)
    if (access.publish(topic, 0, false).allowed) published += 1
    if (!access.subscribe(filter).allowed) refused += 1
    else if (access.checkDelivery(filter)) asked += 1
    else granted += 1
    expect(isTopicFilter(filter)).toBe(true)
  }
  for (const count of [granted, refused, asked, published]) expect(count).toBeGreaterThan(50)
})
