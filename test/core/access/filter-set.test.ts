import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Entry, FilterSet } from '#core/access/filter-set.ts'
import { matches } from '#core/access/topic-filter.ts'
import type { Qos } from '#core/access/access-rule.ts'
import { aFilter, topics } from './topic-universe.ts'

const qos = fc.constantFrom<Qos>(0, 1, 2)
/** Names that begin alike, so that sorted neighbours share more than a level. */
const aLongFilter = fc
  .tuple(
    fc.array(fc.constantFrom('de', 'dev', 'device', 'devices', 'd', '+'), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', '/#', '/'),
  )
  .map(([levels, end]) => levels.join('/') + end)
const anEntry: fc.Arbitrary<Entry> = fc.record({
  filter: fc.oneof(aFilter, aLongFilter),
  maxQos: qos,
  retain: fc.boolean(),
})
const aTopic = fc.oneof(
  fc.constantFrom(...topics.filter((topic) => !topic.startsWith('$'))),
  fc
    .array(fc.constantFrom('de', 'dev', 'device', 'devices', 'd', ''), { minLength: 2, maxLength: 4 })
    .map((levels) => levels.join('/')),
)

describe('a set of filters', () => {
  test('gives the first that matches and speaks of the message, as a walk over all of them does', () => {
    fc.assert(
      fc.property(
        fc.array(anEntry, { maxLength: 12 }),
        fc.array(aTopic, { minLength: 4, maxLength: 4 }),
        qos,
        fc.boolean(),
        (entries, asked, qos, retain) => {
          const set = new FilterSet(entries)
          for (const topic of asked) {
            const first = entries.find(
              (entry) => matches(entry.filter, topic) && qos <= entry.maxQos && (entry.retain || !retain),
            )
            expect(set.first(topic, qos, retain)).toBe(first)
          }
        },
      ),
      { numRuns: 20_000 },
    )
  })

  test('of nothing gives nothing', () => {
    expect(new FilterSet([]).first('a', 0, false)).toBeUndefined()
  })
})
