import { describe, expect, test } from 'vitest'
import { randomName, randomSecretBytes } from '#core/credentials/random.ts'

describe('random bytes', () => {
  test('are as many as asked for, never the same, and nobody’s but the caller’s', () => {
    const seen = new Set<string>()
    for (let index = 0; index < 2_000; index += 1) {
      const bytes = randomSecretBytes(32)
      expect(bytes).toHaveLength(32)
      seen.add(bytes.toString('hex'))
      bytes.fill(0)
    }
    expect(seen.size).toBe(2_000)
    expect(seen).not.toContain('00'.repeat(32))
  })

  test('are evenly spread', () => {
    const counts = Array.from({ length: 256 }, () => 0)
    for (let index = 0; index < 2_000; index += 1) {
      for (const byte of randomSecretBytes(64)) counts[byte] = (counts[byte] ?? 0) + 1
    }
    // 500 each, six standard deviations.
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(135)
  })
})

describe('a random name', () => {
  test('is of a-z and 0-9, each as often as the others, and as long as asked for', () => {
    const counts = new Map<string, number>()
    for (let index = 0; index < 3_600; index += 1) {
      const name = randomName(20)
      expect(name).toMatch(/^[a-z0-9]{20}$/)
      for (const character of name) counts.set(character, (counts.get(character) ?? 0) + 1)
    }
    expect(counts.size).toBe(36)
    // 2000 each, six standard deviations.
    for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(270)
  })
})
