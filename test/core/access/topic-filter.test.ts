import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, isTopicFilter, isTopicName, matches, overlaps } from '#core/access/topic-filter.ts'

/**
 * The oracle: every topic of up to four levels over three names, one of them empty, and `$sys` first. Filters
 * are compared by the set of these they match, decided level by level as §4.7 says it.
 */
const names = ['a', 'b', '']
const topics = [1, 2, 3, 4].flatMap((length) =>
  tuples(['a', 'b', '', '$sys'], names, length).filter((topic) => topic !== ''),
)

function tuples(first: readonly string[], others: readonly string[], length: number): string[] {
  let texts: string[] = [...first]
  for (let level = 1; level < length; level += 1) {
    texts = texts.flatMap((text) => others.map((name) => `${text}/${name}`))
  }
  return texts
}

function oracleMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const pattern = filter
    .split('/')
    .map((level) => (level === '+' ? '[^/]*' : level === '#' ? '#' : level.replaceAll('$', '\\$')))
    .join('/')
  const regex = pattern === '#' ? '.*' : pattern.replace(/\/#$/, '(/.*)?')
  return new RegExp(`^${regex}$`, 's').test(topic)
}

const level = fc.constantFrom('a', 'b', '', '+')
const aFilter = fc
  .tuple(
    fc.constantFrom('a', 'b', '', '+', '$sys'),
    fc.array(level, { maxLength: 2 }),
    fc.constantFrom('', '/#'),
    fc.boolean(),
  )
  .map(([first, rest, end, isHash]) => (isHash && end !== '' ? '#' : [first, ...rest].join('/') + end))
  .filter((filter) => filter !== '')

const matched = new Map<string, ReadonlySet<string>>()
function topicsOf(filter: string): ReadonlySet<string> {
  const known = matched.get(filter)
  if (known !== undefined) return known
  const found = new Set(topics.filter((topic) => oracleMatches(filter, topic)))
  matched.set(filter, found)
  return found
}

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
