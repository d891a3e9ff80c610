import { setImmediate as turn } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Verifier, verifierOfChosen, verifierOfGenerated } from '#core/credentials/verifier.ts'
import * as verifiers from '#core/credentials/verifier.ts'
import { createPasswordCheckMetrics } from '../../../broker/admission/password-check-metrics.ts'
import { PasswordChecks, TooManyPasswords } from '../../../broker/admission/password-checks.ts'

vi.mock('#core/credentials/verifier.ts', { spy: true })

const binding = { kind: 'user', name: 'ada@org_k7xm4pqr2n5t' } as const
const named = (name: string) => ({ ...binding, name: `${name}@org_k7xm4pqr2n5t` })

let chosen: Verifier
let now: number
let checks: PasswordChecks
const hashed = vi.mocked(verifiers.verifySecret)

beforeAll(async () => {
  chosen = await verifierOfChosen('correct horse')
})

beforeEach(() => {
  now = 1_000
  checks = new PasswordChecks(() => now, { rememberedMs: 5_000 })
  hashed.mockClear()
})

const isRight = (password = 'correct horse', verifier = chosen, as = binding): Promise<boolean> =>
  checks.isRight(password, verifier, as)

describe('a password that was right', () => {
  test('is not hashed again for some seconds', async () => {
    expect([await isRight(), await isRight(), await isRight()]).toEqual([true, true, true])
    expect(hashed).toHaveBeenCalledTimes(1)
    now += 5_000
    expect(await isRight()).toBe(true)
    expect(hashed).toHaveBeenCalledTimes(2)
  })

  test('is hashed once for all who bring it at once', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => isRight()))
    expect(new Set(answers)).toEqual(new Set([true]))
    expect(hashed).toHaveBeenCalledTimes(1)
  })

  test('says nothing of another verifier, another name or another password', async () => {
    await isRight()
    const changed = await verifierOfChosen('battery staple')
    expect(await isRight('correct horse', changed)).toBe(false)
    expect(await isRight('correct horsf')).toBe(false)
    await isRight('correct horse', chosen, named('bob') as never)
    expect(hashed).toHaveBeenCalledTimes(4)
  })
})

test('a wrong password is hashed each time', async () => {
  expect([await isRight('wrong'), await isRight('wrong')]).toEqual([false, false])
  expect(hashed).toHaveBeenCalledTimes(2)
})

describe('while passwords are hashed', () => {
  test('the event loop turns', async () => {
    const state = { isDone: false }
    const hashing = isRight().finally(() => (state.isDone = true))
    let turns = 0
    for (; !state.isDone; turns += 1) await turn()
    await hashing
    // Hashed by the event loop itself, it would be done by its next turn or two.
    expect(turns).toBeGreaterThan(10)
  })

  test('generated ones do not wait', async () => {
    const slow = ['a', 'b', 'c', 'd'].map((wrong) => isRight(wrong))
    let areSlowDone = false
    void Promise.all(slow).then(() => {
      areSlowDone = true
    })
    const generated = verifierOfGenerated('secret', binding)
    expect(await isRight('secret', generated)).toBe(true)
    expect(areSlowDone).toBe(false)
    expect(await Promise.all(slow)).toEqual([false, false, false, false])
  })
})

describe('of many passwords at once', () => {
  const ends: (() => void)[] = []
  /** Hashes that end when they are told to. */
  const holdHashes = (): void => {
    hashed.mockImplementation(
      () =>
        new Promise((resolve) => {
          ends.push(() => resolve(true))
        }),
    )
  }
  const endAll = async (): Promise<void> => {
    while (ends.length > 0) {
      ends.shift()?.()
      await turn()
    }
  }

  beforeEach(() => {
    holdHashes()
    return () => void hashed.mockReset()
  })

  test('few are hashed, some wait, and the others are turned away without a verdict', async () => {
    checks = new PasswordChecks(() => now, { hashing: 2, waiting: 3, ofName: 100 })
    const asked = Array.from({ length: 7 }, (_, index) => isRight(`password ${index}`))
    const outcomes = Promise.allSettled(asked)
    await turn()
    expect(ends).toHaveLength(2)
    await endAll()
    expect((await outcomes).map(({ status }) => status)).toEqual([
      ...Array.from({ length: 5 }, () => 'fulfilled'),
      'rejected',
      'rejected',
    ])
    expect(hashed).toHaveBeenCalledTimes(5)
    await expect(asked[6]).rejects.toBeInstanceOf(TooManyPasswords)
    const later = isRight('password 6')
    await turn()
    await endAll()
    expect(await later).toBe(true)
  })

  test('metrics say how many are hashed, how many wait, and how many were', async () => {
    checks = new PasswordChecks(() => now, { hashing: 2, waiting: 3 })
    const registry = new Registry()
    createPasswordCheckMetrics(registry)(() => checks.load())
    const told = async (): Promise<readonly string[]> =>
      (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    const counts = (hashing: number, waiting: number, hashes: number): readonly string[] => [
      `cloudsignal_broker_password_checks{state="hashing"} ${hashing}`,
      `cloudsignal_broker_password_checks{state="waiting"} ${waiting}`,
      `cloudsignal_broker_password_hashes_total ${hashes}`,
    ]
    expect(await told()).toEqual(counts(0, 0, 0))
    const asked = Promise.allSettled([1, 2, 3, 4, 5, 6].map((each) => isRight(`password ${each}`)))
    await turn()
    expect(await told()).toEqual(counts(2, 3, 0))
    await endAll()
    await asked
    expect(await told()).toEqual(counts(0, 0, 5))
  })

  test('those with one name leave room for others', async () => {
    checks = new PasswordChecks(() => now, { hashing: 1, waiting: 10, ofName: 3 })
    const ofAda = Promise.allSettled([1, 2, 3, 4, 5].map((each) => isRight(`password ${each}`)))
    const ofBob = isRight('password', chosen, named('bob') as never)
    await turn()
    await endAll()
    expect((await ofAda).filter(({ status }) => status === 'rejected')).toHaveLength(2)
    expect(await ofBob).toBe(true)
  })

  test('costly ones are hashed one by one, whatever the cost', async () => {
    checks = new PasswordChecks(() => now, { hashing: 2, cost: 65_536 })
    const costly = { ...chosen, cost: 131_072 } as Verifier
    const asked = ['a', 'b', 'c'].map((password) => isRight(password, costly))
    await turn()
    expect(ends).toHaveLength(1)
    await endAll()
    expect(await Promise.all(asked)).toEqual([true, true, true])
  })

  test('one that fails makes room', async () => {
    checks = new PasswordChecks(() => now, { hashing: 1 })
    hashed.mockRejectedValueOnce(new Error('no memory'))
    await expect(isRight('a')).rejects.toThrow('no memory')
    const next = isRight('a')
    await turn()
    await endAll()
    expect(await next).toBe(true)
  })
})
