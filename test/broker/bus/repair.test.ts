import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import type { RedisBusOptions } from '../../../broker/bus/redis-bus.ts'
import {
  aRoutedMessage,
  type BusReplica,
  type BusReplicas,
  startBusReplicas,
} from '../../fixtures/bus-replicas.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'

let replicas: BusReplicas
let control: Redis

beforeEach(async () => {
  replicas = await startBusReplicas()
  control = await replicas.connection()
})

afterEach(() => replicas.stop())

const replica = (over?: Partial<RedisBusOptions>): Promise<BusReplica> => replicas.replica(over)

const message = (topic: string): RoutedMessage => aRoutedMessage({ topic })

async function follow({ bus }: BusReplica, lost: (batches: number) => void = () => {}): Promise<string[]> {
  const topics: string[] = []
  await bus.join(anOrganizationId, ({ topic }) => topics.push(topic), lost)
  return topics
}

const named = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `t/${first + index}`)

async function send({ bus }: BusReplica, topics: readonly string[]): Promise<void> {
  for (const topic of topics) await bus.send(anOrganizationId, message(topic))
}

const cut = (): Promise<unknown> => control.client('KILL', 'TYPE', 'pubsub')

/** Ends a connection until what this resolves with is called. */
async function away(redis: Redis): Promise<() => Promise<void>> {
  const ended = once(redis, 'end')
  redis.disconnect(false)
  await ended
  return () => redis.connect()
}

describe('a lost connection', () => {
  test('in the middle of many messages loses none, repeats none and changes no order', async () => {
    const [one, two, three] = [await replica(), await replica(), await replica()]
    const [second, third] = [await follow(two), await follow(three)]
    const topics = named(0, 3_000)
    for (const [index, topic] of topics.entries()) {
      await one.bus.send(anOrganizationId, message(topic))
      if (index % 700 === 350) await cut()
    }
    await eventually('all have arrived', () => second.length >= 3_000 && third.length >= 3_000)
    expect(second).toEqual(topics)
    expect(third).toEqual(topics)
  })

  test('to a Redis that crashes and comes back empty loses nothing that was said to be sent', async () => {
    const [one, two] = [await replica(), await replica()]
    await follow(one)
    const seen = await follow(two)
    const sent: string[] = []
    const sending = (async () => {
      for (const topic of named(0, 1_500)) {
        await one.bus.send(anOrganizationId, message(topic))?.then(
          () => sent.push(topic),
          () => pause(5),
        )
      }
    })()
    await eventually('messages flow', () => sent.length > 200)
    await replicas.server.kill()
    await pause(300)
    await replicas.server.start()
    await sending
    await eventually('all have arrived', () => sent.every((topic) => seen.includes(topic)))
    expect(sent.length).toBeGreaterThan(300)
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => Number(a.slice(2)) - Number(b.slice(2))))
  })

  test('during the last message is noticed without a next one', async () => {
    const [one, two] = [await replica(), await replica()]
    await follow(one)
    const seen = await follow(two)
    await send(one, ['a'])
    await eventually('the first arrives', () => seen.length === 1)
    const back = await away(two.subscriber)
    await send(one, ['b', 'c'])
    await back()
    await eventually('the others arrive', () => seen.length === 3)
    expect(seen).toEqual(['a', 'b', 'c'])
  })

  test('that lasts longer than the sender speaks of its last message is made up for at once', async () => {
    const [one, two] = [await replica(), await replica()]
    await follow(one)
    const seen = await follow(two)
    const back = await away(two.subscriber)
    await send(one, ['a'])
    await pause(2_500)
    const returnedAt = performance.now()
    await back()
    await eventually('it arrives', () => seen.length === 1)
    expect(performance.now() - returnedAt).toBeLessThan(900)
  })

  test('hides no sender that began while it was away', async () => {
    const two = await replica()
    const seen = await follow(two)
    const back = await away(two.subscriber)
    const one = await replica()
    await follow(one)
    await send(one, named(0, 5))
    await back()
    await eventually('all arrive', () => seen.length === 5)
    expect(seen).toEqual(named(0, 5))
  })

  test('brings nothing from before the replica followed the organization', async () => {
    const [one, two] = [await replica(), await replica()]
    await follow(one)
    await send(one, ['before'])
    const seen = await follow(two)
    await pause(100)
    const back = await away(two.subscriber)
    await send(one, ['while away'])
    await back()
    await eventually('it arrives', () => seen.length > 0)
    await send(one, ['after'])
    await eventually('that too', () => seen.includes('after'))
    expect(seen).toEqual(['while away', 'after'])
  })

  test('longer than the ring remembers is told, with how much is gone', async () => {
    const one = await replica({ ring: { maxBytes: 300 } })
    const two = await replica()
    let lost = 0
    const seen = await follow(two, (batches) => (lost += batches))
    await send(one, ['first'])
    await eventually('it arrives', () => seen.length === 1)
    const back = await away(two.subscriber)
    await send(one, named(0, 20))
    await back()
    await eventually('the rest arrives', () => seen.includes('t/19'))
    expect(lost).toBeGreaterThan(0)
    expect(seen).toEqual(['first', ...named(lost, 20 - lost)])
  })

  test('is told, so that what nobody resends is looked for in the store', async () => {
    const two = await replica()
    const told: number[] = []
    await follow(two, (batches) => told.push(batches))
    await cut()
    await eventually('it is told', () => told.length > 0)
    expect(told).toEqual([0])
  })

  test('of the sender only: nothing is said to be sent, and what follows arrives', async () => {
    const [one, two] = [await replica(), await replica()]
    const seen = await follow(two)
    await send(one, ['a'])
    const back = await away(one.publisher)
    await expect(send(one, ['b'])).rejects.toMatchObject({ code: 'store-unavailable' })
    await back()
    await send(one, ['c'])
    await eventually('it arrives', () => seen.includes('c'))
    expect(seen).toEqual(['a', 'b', 'c'])
  })
})

describe('a sender that is gone', () => {
  test('holds back what came after a gap for a few seconds, then the gap is told', async () => {
    const [one, two] = [await replica(), await replica()]
    let lost = 0
    const seen = await follow(two, (batches) => (lost += batches))
    await send(one, ['a'])
    await eventually('it arrives', () => seen.length === 1)
    const back = await away(two.subscriber)
    await send(one, ['b'])
    await away(one.subscriber)
    await back()
    await send(one, ['c'])
    one.bus.close()
    await eventually('what came after it arrives', () => seen.includes('c'))
    expect([seen, lost]).toEqual([['a', 'c'], 1])
  })
})

describe('an organization that closes and opens again', () => {
  test('at the sender at once is still asked for what was missed', async () => {
    const [one, two] = [await replica(), await replica()]
    const leave = await one.bus.join(anOrganizationId, () => {})
    const seen = await follow(two)
    await send(one, ['a'])
    await eventually('it arrives', () => seen.length === 1)
    const back = await away(two.subscriber)
    await send(one, ['b'])
    leave()
    await pause(1_500)
    await back()
    await eventually('it arrives', () => seen.length === 2)
    expect(seen).toEqual(['a', 'b'])
  })

  test('at the sender loses and repeats nothing', async () => {
    const [one, two] = [await replica({ ring: { maxAgeMs: 0 } }), await replica()]
    const seen = await follow(two)
    const leave = await one.bus.join(anOrganizationId, () => {})
    await send(one, ['a'])
    leave()
    await pause(2_500)
    await one.bus.send(anotherOrganizationId, message('elsewhere'))
    await send(one, ['b', 'c'])
    await eventually('all arrive', () => seen.length === 3)
    expect(seen).toEqual(['a', 'b', 'c'])
  })

  test('at the receiver brings what is sent from then on', async () => {
    const [one, two] = [await replica(), await replica()]
    const leave = await two.bus.join(anOrganizationId, () => {})
    await send(one, ['a'])
    leave()
    await send(one, ['b'])
    const seen = await follow(two)
    await send(one, ['c'])
    await eventually('it arrives', () => seen.length > 0)
    expect(seen).toEqual(['c'])
  })
})
