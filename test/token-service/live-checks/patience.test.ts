import { beforeEach, expect, test } from 'vitest'
import { Patience } from '../../../token-service/live-checks/patience.ts'

let now = 0
let patience: Patience
beforeEach(() => {
  now = 1_000_000
  patience = new Patience(() => now)
})
const fail = (): Promise<never> => Promise.reject(new Error('down'))
const outcome = (whom: string, work: () => Promise<unknown>): Promise<unknown> =>
  patience.spend(whom, work).catch((error: Error) => error.message)

test('patience ends after three failures in a row, for five seconds, and with each failure after that', async () => {
  for (let attempt = 0; attempt < 3; attempt += 1) expect(await outcome('a', fail)).toBe('down')
  expect(await outcome('a', fail)).toBe('the provider failed just now')
  expect(await outcome('b', async () => 'b')).toBe('b')
  now += 5_000
  expect(await outcome('a', fail)).toBe('down')
  expect(await outcome('a', fail)).toBe('the provider failed just now')
  now += 5_000
  expect(await outcome('a', async () => 'back')).toBe('back')
  expect(await outcome('a', fail)).toBe('down')
  expect(await outcome('a', async () => 'on')).toBe('on')
})

test('a hundred may wait at a time; who comes then is told to come again', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const waiting = Array.from({ length: 100 }, () => outcome('slow', () => promise))
  await expect(patience.spend('slow', fail)).rejects.toMatchObject({ retryAfterSeconds: 1 })
  expect(await outcome('other', async () => 'other')).toBe('other')
  resolve('at last')
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['at last']))
  expect(await outcome('slow', async () => 'again')).toBe('again')
})
