import fc from 'fast-check'

/**
 * A small universe: every topic of up to four levels over three names, one of them empty, and `$sys` first.
 * Filters are compared by the set of these they match, decided level by level as §4.7 says it.
 */
const names = ['a', 'b', '']
export const topics: readonly string[] = [1, 2, 3, 4].flatMap((length) =>
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

const matched = new Map<string, ReadonlySet<string>>()

/** Which of the universe's topics a filter matches. */
export function topicsOf(filter: string): ReadonlySet<string> {
  const known = matched.get(filter)
  if (known !== undefined) return known
  const found = new Set(topics.filter((topic) => oracleMatches(filter, topic)))
  matched.set(filter, found)
  return found
}

const level = fc.constantFrom('a', 'b', '', '+')

/** Any filter of up to three levels, with or without `#` behind them. */
export const aFilter: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('a', 'b', '', '+', '$sys'),
    fc.array(level, { maxLength: 2 }),
    fc.constantFrom('', '/#'),
    fc.boolean(),
  )
  .map(([first, rest, end, isHash]) => (isHash && end !== '' ? '#' : [first, ...rest].join('/') + end))
  .filter((filter) => filter !== '')
