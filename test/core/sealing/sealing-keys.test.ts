import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type SealingKeys, sealingKeys } from '#core/sealing/sealing-keys.ts'

const [old, fresh, foreign] = [1, 2, 3].map(() => randomBytes(32).toString('base64')) as [
  string,
  string,
  string,
]
const keysOf = (...texts: string[]): SealingKeys => sealingKeys(texts) as SealingKeys

describe('a sealed secret', () => {
  test('is opened for what it was sealed for, and for nothing else', () => {
    const keys = keysOf(old)
    const sealed = keys.seal('whsec_ä', 'uid-1/webhook')
    expect(keys.open(sealed, 'uid-1/webhook')).toBe('whsec_ä')
    expect(keys.open(sealed, 'uid-1/jwt')).toBeUndefined()
    expect(keys.open(sealed, 'uid-2/webhook')).toBeUndefined()
    expect(sealed).not.toContain('whsec')
  })

  test('is another text each time', () => {
    const keys = keysOf(old)
    expect(keys.seal('x', 'c')).not.toBe(keys.seal('x', 'c'))
  })

  test('is opened by the former key while there are two, and known to be of it', () => {
    const sealed = keysOf(old).seal('secret', 'c')
    const both = keysOf(fresh, old)
    expect(both.open(sealed, 'c')).toBe('secret')
    expect(both.isCurrent(sealed)).toBe(false)
    const again = both.seal('secret', 'c')
    expect(both.isCurrent(again)).toBe(true)
    expect(keysOf(fresh).open(again, 'c')).toBe('secret')
    expect(keysOf(fresh).open(sealed, 'c')).toBeUndefined()
  })

  test('that was changed anywhere, or is none, is not opened', () => {
    const keys = keysOf(old)
    const sealed = keys.seal('secret', 'c')
    for (let at = 0; at < sealed.length; at += 1) {
      const other = sealed[at] === 'A' ? 'B' : 'A'
      const changed = sealed.slice(0, at) + other + sealed.slice(at + 1)
      // The last character may hold bits that say nothing.
      if (at < sealed.length - 1) expect(keys.open(changed, 'c'), changed).toBeUndefined()
    }
    for (const text of ['', 'v1', 'v1..', `v1.${'0'.repeat(16)}.AAAA`, sealed.slice(0, -30)]) {
      expect(keys.open(text, 'c')).toBeUndefined()
    }
    expect(keysOf(foreign).open(sealed, 'c')).toBeUndefined()
  })

  test('needs keys of 32 bytes', () => {
    for (const texts of [
      [],
      [''],
      ['short'],
      [old, 'short'],
      [randomBytes(33).toString('base64')],
      [`${old} `],
      [old.slice(0, -1)],
    ]) {
      expect(sealingKeys(texts)).toBeUndefined()
    }
  })
})
