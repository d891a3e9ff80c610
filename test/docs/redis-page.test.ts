/** docs/redis.md says what docs/redis-users.acl grants, and docs/architecture.md names every key. */
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { anOrganizationId } from '../fixtures/records.ts'

const acl = await readFile('docs/redis-users.acl', 'utf8')
const page = await readFile('docs/redis.md', 'utf8')
const architecture = await readFile('docs/architecture.md', 'utf8')

interface Grants {
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  readonly channels: readonly string[]
}

const patternsIn = (cell: string): readonly string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, pattern = '']) => pattern).toSorted()

function grantedTo(line: string): readonly [string, Grants] {
  const words = line.split(' ')
  const after = (prefix: string): readonly string[] =>
    words
      .filter((word) => word.startsWith(prefix))
      .map((word) => word.slice(prefix.length))
      .toSorted()
  return [words[1] ?? '', { writes: after('~'), reads: after('%R~'), channels: after('&') }]
}

test('the page about Redis says of each user what the file grants, no more and no less', () => {
  const granted = Object.fromEntries(acl.trim().split('\n').map(grantedTo))
  const rows = [...page.matchAll(/^\| `(cloudsignal-[a-z-]+)` \| (.+) \| (.+) \| (.+) \|$/gm)]
  const said = rows.map(([, user = '', writes = '', reads = '', channels = '']) => [
    user,
    { writes: patternsIn(writes), reads: patternsIn(reads), channels: patternsIn(channels) },
  ])
  expect(Object.keys(granted)).toHaveLength(3)
  expect(Object.fromEntries(said)).toEqual(granted)
})

describe('the table of keys', () => {
  const table = architecture.slice(
    architecture.indexOf('## Redis keys'),
    architecture.indexOf('## Source map'),
  )
  /** `…:epoch` goes on from the key before; `<name>` and `*` stand for anything. */
  const patterns = [...table.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell = '']) => {
    const [first = '', ...rest] = [...cell.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key)
    return [first, ...rest.map((key) => key.replace(/^…/, first.replace(/:[^:]+$/, '')))]
  })
  const isNamed = (key: string): boolean =>
    patterns.some((pattern) => {
      const exact = pattern
        .replaceAll(/[{}]/g, String.raw`\$&`)
        .replaceAll(/<[^>]+>|\*/g, '.+')
        .replaceAll('{org\\}', `{${anOrganizationId}\\}`)
      return new RegExp(`^${exact}$`).test(key)
    })

  const keys = redisKeys()
  const all = Object.entries(keys)
    // Of several at once, and a prefix of keys that are named below it.
    .filter(([name]) => !['patternOf', 'own'].includes(name))
    .map(([name, key]): [string, string] => {
      if (typeof key === 'string') return [name, key]
      const make = key as (...parts: readonly string[]) => string
      // All take the organization, some after another part, most before one.
      const parts = name === 'identity' ? ['user', anOrganizationId] : [anOrganizationId, 'name']
      return [name, name === 'messaging' ? `${make(...parts)}name` : make(...parts)]
    })

  test.each(all)('has %s, which is %s', (_, key) => {
    expect(isNamed(key)).toBe(true)
  })

  test('has not what nobody writes', () => {
    expect(isNamed('cs:{all}:nothing')).toBe(false)
    expect(isNamed(`cs:{${anOrganizationId}}:nothing:at-all`)).toBe(false)
  })
})
