import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import type { Leave } from '../../../broker/bus/bus.ts'
import { encodeBatch, senderBytes } from '../../../broker/bus/frames.ts'
import type { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { aRoutedMessage, type BusReplicas, startBusReplicas } from '../../fixtures/bus-replicas.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId } from '../../fixtures/records.ts'

const keys = redisKeys()
const channel = `${keys.messaging(anOrganizationId)}bus`
let replicas: BusReplicas
let control: Redis
/** As the membership would know it. */
let serving: Set<RedisBus>

beforeEach(async () => {
  replicas = await startBusReplicas()
  serving = new Set()
  control = await replicas.connection()
})

afterEach(() => replicas.stop())

const replica = async (): Promise<RedisBus> => (await replicas.replica()).bus

async function follow(bus: RedisBus): Promise<{ numbers: number[]; leave: Leave }> {
  const numbers: number[] = []
  serving.add(bus)
  const leave = await bus.join(
    anOrganizationId,
    ({ payload }) => numbers.push(Number(payload)),
    undefined,
    async () => [...serving].some((one) => one !== bus),
  )
  return { numbers, leave }
}

const message = (number: number): RoutedMessage =>
  aRoutedMessage({ payload: Buffer.from(String(number)), brokerCounter: number })

/** Sends until it is stopped; `sent` is how many were. */
function keepSending(bus: RedisBus): { sent: number; unsent: number; stop: () => Promise<void> } {
  const sending = { sent: 0, unsent: 0, stop: async () => {} }
  const stopping = new AbortController()
  const done = (async () => {
    while (!stopping.signal.aborted) {
      const answer = bus.send(anOrganizationId, message(sending.sent))
      sending.sent += 1
      if (answer === undefined) sending.unsent += 1
      else await answer.catch(() => {})
      await new Promise(setImmediate)
    }
  })()
  sending.stop = async () => {
    stopping.abort()
    await done
  }
  return sending
}

async function untilAlone(sending: { unsent: number }): Promise<void> {
  const before = sending.unsent
  await eventually('nothing is sent any more', () => sending.unsent > before + 20)
}

async function published(): Promise<number> {
  const stats = await control.info('commandstats')
  return Number(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

test('a replica that is alone sends next to nothing', async () => {
  const one = await replica()
  await follow(one)
  const sending = keepSending(one)
  await untilAlone(sending)
  const [before, sentBefore] = [await published(), sending.sent]
  await pause(500)
  const [calls, sent] = [(await published()) - before, sending.sent - sentBefore]
  await sending.stop()
  expect(sent).toBeGreaterThan(200)
  expect(calls).toBeLessThan(20)
})

test('whoever joins gets every message from then on, each time', async () => {
  const [one, two] = [await replica(), await replica()]
  await follow(one)
  const sending = keepSending(one)
  for (let round = 0; round < 6; round += 1) {
    await untilAlone(sending)
    const { numbers, leave } = await follow(two)
    const from = sending.sent
    await pause(20)
    const until = sending.sent - 1
    await eventually('all have arrived', () => numbers.at(-1) !== undefined && numbers.at(-1)! >= until)
    expect(numbers.filter((number) => number >= from && number <= until)).toEqual(
      Array.from({ length: until + 1 - from }, (_, index) => from + index),
    )
    leave()
    serving.delete(two)
  }
  await sending.stop()
  expect(sending.unsent).toBeGreaterThan(6 * 20)
}, 60_000)

test('several that join at once get every message', async () => {
  const [one, two, three] = [await replica(), await replica(), await replica()]
  await follow(one)
  const sending = keepSending(one)
  await untilAlone(sending)
  const joined = await Promise.all([two, three].map(follow))
  const from = sending.sent
  await pause(50)
  const until = sending.sent - 1
  await sending.stop()
  for (const { numbers } of joined) {
    await eventually('all have arrived', () => numbers.at(-1) !== undefined && numbers.at(-1)! >= until)
    expect(numbers.filter((number) => number >= from)).toHaveLength(sending.sent - from)
  }
})

test('a replica that does not answer holds nobody up who joins', async () => {
  const [one, two] = [await replica(), await replica()]
  await follow(one)
  // Somebody who follows and never greets.
  await (await replicas.connection()).subscribe(channel)
  const before = performance.now()
  await follow(two)
  expect(performance.now() - before).toBeLessThan(1_000)
})

test('one that listens without having said so is sent to', async () => {
  const one = await replica()
  await follow(one)
  const sending = keepSending(one)
  await untilAlone(sending)
  await (await replicas.connection()).subscribe(channel)
  await pause(150)
  const before = sending.unsent
  await pause(300)
  await sending.stop()
  expect(sending.unsent).toBe(before)
})

test('one that lives and is cut off is not forgotten', async () => {
  const [one, two] = [await replica(), await replica()]
  await follow(one)
  serving.add(two)
  const sending = keepSending(one)
  await pause(1_500)
  await sending.stop()
  expect(sending.unsent).toBe(0)
})

test('a connection that is not this replica’s own does not stand for it', async () => {
  const { bus: one, subscriber } = await replicas.replica()
  await follow(one)
  const sending = keepSending(one)
  await untilAlone(sending)
  // Its own subscription is lost while another one has the channel.
  await (await replicas.connection()).subscribe(channel)
  subscriber.disconnect()
  await pause(150)
  const before = sending.unsent
  await pause(300)
  await sending.stop()
  expect(sending.unsent).toBe(before)
})

test('a stranger that is heard on the channel ends it at once', async () => {
  const one = await replica()
  await follow(one)
  const sending = keepSending(one)
  await untilAlone(sending)
  serving.add(await replica())
  await control.publish(channel, encodeBatch(Buffer.alloc(senderBytes, 7), 1, [message(0)]))
  await pause(20)
  const before = sending.unsent
  await pause(300)
  await sending.stop()
  expect(sending.unsent).toBe(before)
})
