import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { explain } from '#core/access/explain.ts'
import { isTopicFilter } from '#core/access/topic-filter.ts'
import { accessOf, aQuestion, aWorld, oracleOf, someNames, someRules, withoutGroup } from './access-worlds.ts'
import { topicsOf } from './topic-universe.ts'

describe('whatever the rules, bounds and variables', () => {
  // Ten questions to each, three decisions to most: far more than a hundred thousand a run.
  const questions = fc.array(aQuestion, { minLength: 10, maxLength: 10 })
  const runs = { numRuns: 6_000 }

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

  test('an explanation says what is decided, by a rule that holds what is asked for', () => {
    fc.assert(
      fc.property(aWorld, questions, (world, asked) => {
        const access = accessOf(world)
        for (const { topic, filter, qos, retain } of asked) {
          const published = explain(world, { action: 'publish', topic, qos, retain })
          expect(published.verdict).toEqual(access.publish(topic, qos, retain))
          const subscribed = explain(world, { action: 'subscribe', topic: filter, qos, retain })
          expect(subscribed.verdict).toEqual(access.subscribe(filter))
          expect(subscribed.exceptions.length > 0).toBe(
            subscribed.verdict.allowed && access.checkDelivery(filter),
          )
          if (published.rule !== undefined) expect(topicsOf(published.rule.filter ?? '')).toContain(topic)
          for (const { verdict, rule } of [published, subscribed]) {
            expect(rule && { list: rule.list, index: rule.index }).toEqual(verdict.rule)
          }
        }
      }),
      { numRuns: 1_500 },
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
