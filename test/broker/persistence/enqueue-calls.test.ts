import { describe, expect, test } from 'vitest'
import { enqueueCalls } from '../../../broker/persistence/enqueue-calls.ts'
import type { Recipients } from '../../../broker/persistence/recipients.ts'
import { messageName } from '../../../broker/persistence/session-persistence.ts'
import { decodeMessage } from '../../../broker/persistence/stored-message.ts'
import { aMessage } from '../../fixtures/messages.ts'

const all = (...ids: string[]): Recipients => ({ all: ids, once: ids, exactlyOnce: [] })
const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${index}`)
const wideOnes = all(...many(4_500))

interface Row {
  readonly names: unknown[]
  readonly qos: number | undefined
  readonly ids: unknown[]
}

/** The rows of a call, as its script reads them. */
function rowsOf([, , ...values]: readonly unknown[]): Row[] {
  const rows: Row[] = []
  for (let at = 0; at < values.length;) {
    const [messages, sessions] = values.slice(at, at + 2) as [number, number]
    const pairs = values.slice(at + 2, at + 2 + messages * 2)
    const ids = values.slice(at + 2 + messages * 2, at + 2 + messages * 2 + sessions)
    const names = pairs.filter((_, index) => index % 2 === 0)
    rows.push({ names, ids, qos: decodeMessage(pairs[1] as Buffer)?.qos })
    at += 2 + messages * 2 + sessions
  }
  return rows
}

describe('of messages that come at once', () => {
  test('those in a row for the same sessions name them once', () => {
    const [x, y] = [all('s1', 's2'), all('s2')]
    const messages = Array.from({ length: 5 }, () => aMessage())
    const names = messages.map(messageName)
    const calls = enqueueCalls(messages, [x, x, y, x, x], 9)
    expect(calls).toHaveLength(1)
    expect(calls[0]?.slice(0, 2)).toEqual([9, 5])
    expect(rowsOf(calls[0] ?? [])).toEqual([
      { names: names.slice(0, 2), qos: 1, ids: ['s1', 's2'] },
      { names: names.slice(2, 3), qos: 1, ids: ['s2'] },
      { names: names.slice(3), qos: 1, ids: ['s1', 's2'] },
    ])
  })

  test('one of QoS 2 goes at QoS 1 to those who were granted no more', () => {
    const mixed: Recipients = { all: ['one', 'two'], once: ['one'], exactlyOnce: ['two'] }
    const messages = [aMessage({ qos: 2 }), aMessage({ qos: 1 })]
    const [name, other] = messages.map(messageName)
    const [call] = enqueueCalls(messages, [mixed, mixed], 9)
    expect(rowsOf(call ?? [])).toEqual([
      { names: [name], qos: 1, ids: ['one'] },
      { names: [name], qos: 2, ids: ['two'] },
      { names: [other], qos: 1, ids: ['one', 'two'] },
    ])
    expect(call?.[1]).toBe(3)
  })

  test('no call makes more than 2,000 copies or has much more than a megabyte', () => {
    const copies = (rows: Row[]): number =>
      rows.reduce((total, { names, ids }) => total + names.length * ids.length, 0)
    const three = [aMessage(), aMessage(), aMessage()]
    const wide = enqueueCalls(
      three,
      three.map(() => wideOnes),
      9,
    )
    for (const call of wide) expect(copies(rowsOf(call))).toBeLessThanOrEqual(2_000)
    expect(wide.map((call) => copies(rowsOf(call))).reduce((total, each) => total + each)).toBe(13_500)
    const single = all('s')
    const long = Array.from({ length: 5_000 }, () => aMessage())
    expect(
      enqueueCalls(
        long,
        long.map(() => single),
        9,
      ).map((call) => copies(rowsOf(call))),
    ).toEqual([2_000, 2_000, 1_000])
    const large = Array.from({ length: 10 }, () => aMessage({ payload: Buffer.alloc(400_000) }))
    expect(
      enqueueCalls(
        large,
        large.map(() => single),
        9,
      ).map((call) => copies(rowsOf(call))),
    ).toEqual([3, 3, 3, 1])
  })
})
