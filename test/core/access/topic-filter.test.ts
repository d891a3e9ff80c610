import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, isTopicFilter, isTopicName, levelsOf, matches, overlaps } from '#core/access/topic-filter.ts'
import { aFilter, topics, topicsOf } from './topic-universe.ts'

describe('whatever the filters', () => {
  const runs = { numRuns: 40_000 }

  test('matches agrees with the oracle', () => {
    fc.assert(
      fc.property(aFilter, fc.constantFrom(...topics), (filter, topic) => {
        expect(matches(filter, topic)).toBe(topicsOf(filter).has(topic))
      }),
      runs,
    )
  })

  test('covers holds exactly when every topic of the inner one is a topic of the outer one', () => {
    fc.assert(
      fc.property(aFilter, aFilter, (outer, inner) => {
        expect(covers(outer, inner)).toBe(topicsOf(inner).isSubsetOf(topicsOf(outer)))
      }),
      runs,
    )
  })

  test('overlaps holds exactly when both have a topic in common, and is symmetric', () => {
    fc.assert(
      fc.property(aFilter, aFilter, (left, right) => {
        expect(overlaps(left, right)).toBe(!topicsOf(left).isDisjointFrom(topicsOf(right)))
        expect(overlaps(left, right)).toBe(overlaps(right, left))
      }),
      runs,
    )
  })

  test('a filter covers itself', () => {
    fc.assert(
      fc.property(aFilter, (filter) => {
        expect(covers(filter, filter)).toBe(true)
      }),
    )
  })
})

describe('a topic filter', () => {
  test.each(['a', '/', '//', 'a/+/b', '+', '#', 'a/#', '+/+', 'a b', '$SYS/x', 'ünï/#'])(
    '%s is one',
    (text) => {
      expect(isTopicFilter(text)).toBe(true)
    },
  )

  test.each(['', 'a#', '#/a', 'a/#/b', 'a+', '+a/b', 'a/b+', '##', '++', 'a\0b', 'x'.repeat(65_536)])(
    '%s is none',
    (text) => {
      expect(isTopicFilter(text)).toBe(false)
    },
  )
})

test('a topic name and a filter may be 65,535 characters long', () => {
  expect([isTopicName('x'.repeat(65_535)), isTopicFilter('x'.repeat(65_535))]).toEqual([true, true])
  expect([isTopicName('x'.repeat(65_536)), isTopicFilter('x'.repeat(65_536))]).toEqual([false, false])
})

test('levels are counted with the empty ones', () => {
  expect(['a', '/', 'a/b', '/a//b/', '#'].map(levelsOf)).toEqual([1, 2, 2, 5, 1])
})

describe('a topic name', () => {
  test.each(['a', '/', 'a//b', ' ', '$SYS'])('%s is one', (text) => {
    expect(isTopicName(text)).toBe(true)
  })

  test.each(['', '+', 'a/#', 'a+b', 'a\0'])('%s is none', (text) => {
    expect(isTopicName(text)).toBe(false)
  })
})

test('the mistakes of others are not made: a rule for a is none for a/b, + is none for #, a/# holds a', () => {
  expect(matches('a', 'a/b')).toBe(false)
  expect(covers('a/+', 'a/#')).toBe(false)
  expect(covers('+', '#')).toBe(false)
  expect(matches('a/#', 'a')).toBe(true)
  expect(covers('a/#', 'a')).toBe(true)
})
