import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Registry } from 'prom-client'
import type { Message, RoutedMessage } from '../../../broker/aedes/messages.ts'
import { Delivery } from '../../../broker/connection/delivery.ts'
import { defaultLimits } from '../../../broker/limits.ts'
import { createBrokerMetrics } from '../../../broker/metrics.ts'
import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aMessage } from '../../fixtures/messages.ts'

const owner = { id: 'user:ada/device' }

interface Sent {
  readonly payload: string
  readonly messageId: number
  readonly dup: boolean
}

/** A client that takes everything, or as little as the test says. */
class Client {
  readonly sent: Sent[] = []
  readonly released: number[] = []
  readonly ends: string[] = []
  pending = 0
  largest = Infinity

  sendPublish({ payload }: Message, _terms: object, messageId: number, dup: boolean): boolean {
    if (payload.length > this.largest) return false
    this.sent.push({ payload: payload.toString(), messageId, dup })
    return true
  }

  acknowledge(_cmd: string, messageId: number): void {
    this.released.push(messageId)
  }

  end(cause: string): void {
    this.ends.push(cause)
  }

  get payloads(): string[] {
    return this.sent.map(({ payload }) => payload)
  }
}

const terms = { qos: 1, retain: false } as const
let persistence: MemoryPersistence
let client: Client
let delivery: Delivery
let mayReceive: boolean

beforeEach(async () => {
  persistence = new MemoryPersistence()
  client = new Client()
  mayReceive = true
  await persistence.openSession(owner, false, 60)
  await persistence.addSubscriptions(owner, [{ topic: '#', qos: 2 }])
})

afterEach(() => delivery.close())

function start(window: number, isStored = true): Delivery {
  open(window, isStored).start()
  return delivery
}

/** CONNACK is not sent yet. */
function open(window: number, isStored = true): Delivery {
  delivery = new Delivery({
    target: client,
    limits: defaultLimits,
    receiveMaximum: window,
    metrics: createBrokerMetrics(new Registry()),
    termsFor: ({ qos }) => (mayReceive ? { qos, retain: false } : undefined),
    ...(isStored ? { queue: { persistence, owner } } : {}),
  })
  return delivery
}

async function store(...messages: RoutedMessage[]): Promise<void> {
  for (const message of messages) {
    await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
  }
}

const numbered = (count: number, from = 0): RoutedMessage[] =>
  Array.from({ length: count }, (_, index) => aMessage({ payload: Buffer.from(String(from + index)) }))

async function acknowledgeAll(until: () => boolean): Promise<void> {
  let done = 0
  await eventually('all are sent', () => {
    for (; done < client.sent.length; done += 1) delivery.acknowledged(client.sent[done]?.messageId ?? 0)
    return until()
  })
}

const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

describe('the delivery to a stored session', () => {
  test('never sends more than its window, nor anything out of order, however much comes', async () => {
    start(3)
    const messages = numbered(50)
    await store(...messages)
    for (const message of messages) delivery.live(message, terms)
    await eventually('the window is full', () => client.sent.length === 3)
    await acknowledgeAll(() => client.sent.length === 50)
    expect(client.payloads).toEqual(texts(50))
    await eventually(
      'nothing waits',
      async () => (await persistence.outgoingPage(owner, '', 9)).messages.length === 0,
    )
  })

  test('reads from the queue what is too much to keep, and loses, repeats and reorders nothing', async () => {
    start(10)
    for (const message of numbered(5_000)) {
      await store(message)
      delivery.live(message, terms)
    }
    expect(client.ends).toEqual([])
    await acknowledgeAll(() => client.sent.length >= 5_000)
    await store(...numbered(1, 5_000).map((message) => (delivery.live(message, terms), message)))
    await acknowledgeAll(() => client.sent.length > 5_000)
    expect(client.payloads).toEqual(texts(5_001))
  })

  test('takes what comes live while the queue is read from the queue, once', async () => {
    await store(...numbered(1_000))
    open(100).resume([])
    delivery.start()
    for (const message of numbered(500, 1_000)) {
      await store(message)
      delivery.live(message, terms)
      if (client.sent.length % 7 === 0) await acknowledgeAll(() => true)
    }
    await acknowledgeAll(() => client.sent.length >= 1_500)
    expect(client.payloads).toEqual(texts(1_500))
  })

  test('waits while the client does not take what was sent, and goes on when it does', async () => {
    start(100)
    client.pending = defaultLimits.dropAboveBytes + 1
    const messages = numbered(20)
    await store(...messages)
    for (const message of messages) delivery.live(message, terms)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect([client.sent, client.ends]).toEqual([[], []])
    client.pending = 0
    await eventually('they are sent', () => client.sent.length === 20)
  })

  test('finds in the queue what did not come live', async () => {
    open(100)
    const [first, second, third] = numbered(3) as [RoutedMessage, RoutedMessage, RoutedMessage]
    await store(first, second, third)
    delivery.resume([])
    delivery.start()
    await eventually('all are sent', () => client.sent.length === 3)
    await store(...numbered(2, 3))
    delivery.lookForMissed()
    await eventually('the others are sent', () => client.sent.length === 5)
    expect(client.payloads).toEqual(texts(5))
  })

  test('finds there whatever it is told before the client is let in, and asks nobody yet what is still wanted', async () => {
    open(100)
    mayReceive = false
    await store(...numbered(3))
    delivery.resume([])
    delivery.lookForMissed()
    delivery.lookForMore()
    await new Promise((resolve) => setTimeout(resolve, 20))
    mayReceive = true
    delivery.start()
    await eventually('all are sent', () => client.sent.length === 3)
    expect(client.payloads).toEqual(texts(3))
  })

  test('gives PUBREL only once it is remembered, and again after the client came back', async () => {
    const [message] = numbered(1) as [RoutedMessage]
    const second = { ...message, qos: 2 } as const
    await store(second)
    start(10)
    delivery.live(second, { qos: 2, retain: false })
    await eventually('it is sent', () => client.sent.length === 1)
    const messageId = client.sent[0]?.messageId ?? 0
    expect(delivery.received(messageId)).toBe(true)
    expect(client.released).toEqual([])
    await eventually('it is released', () => client.released.length === 1)
    await delivery.close()
    const { sent } = await persistence.openSession(owner, false, 60)
    open(10).resume(sent)
    delivery.start()
    await eventually('it is released again', () => client.released.length === 2)
    expect(client.sent).toHaveLength(1)
    expect(delivery.acknowledged(messageId)).toBe(true)
    await delivery.close()
    expect((await persistence.outgoingPage(owner, '', 9)).messages).toEqual([])
  })

  test('sends a message again under its packet id, and gives that id to no other', async () => {
    const messages = numbered(3)
    await store(...messages)
    start(10)
    for (const message of messages) delivery.live(message, terms)
    await eventually('they are sent', () => client.sent.length === 3)
    delivery.acknowledged(1)
    await delivery.close()
    const { sent } = await persistence.openSession(owner, false, 60)
    await store(...numbered(3, 3))
    open(10).resume(sent)
    delivery.start()
    await eventually('all are sent', () => client.sent.length === 8)
    expect(client.sent.slice(3)).toEqual([
      { payload: '1', messageId: 2, dup: true },
      { payload: '2', messageId: 3, dup: true },
      ...['3', '4', '5'].map((payload) => ({ payload, messageId: expect.any(Number), dup: false })),
    ])
    expect(new Set(client.sent.slice(3).map(({ messageId }) => messageId)).size).toBe(5)
  })

  test('gives no packet id to a message that a later one of the queue has', async () => {
    const messages = numbered(3)
    await store(...messages)
    start(10).live(messages[2] as RoutedMessage, terms)
    await eventually('it is sent', () => client.sent.length === 1)
    await delivery.close()
    const { sent } = await persistence.openSession(owner, false, 60)
    open(10).resume(sent)
    delivery.start()
    await eventually('all are sent', () => client.sent.length === 4)
    expect(client.sent.slice(1).map(({ messageId }) => messageId)).toEqual([2, 3, 1])
  })

  test('forgets what access no longer allows, also what waits already', async () => {
    start(1)
    const messages = numbered(5)
    await store(...messages)
    for (const message of messages) delivery.live(message, terms)
    await eventually('the first is sent', () => client.sent.length === 1)
    mayReceive = false
    delivery.judgeAgain()
    delivery.acknowledged(client.sent[0]?.messageId ?? 0)
    await delivery.close()
    expect(client.payloads).toEqual(['0'])
    expect((await persistence.outgoingPage(owner, '', 9)).messages).toEqual([])
  })

  test('ends the connection when the store does not answer, and sends nothing that is not remembered', async () => {
    persistence.outgoingApply = async () => {
      throw new Error('away')
    }
    start(10)
    const [message] = numbered(1) as [RoutedMessage]
    await store(message)
    delivery.live(message, terms)
    await eventually('it is ended', () => client.ends.length > 0)
    expect([client.ends, client.sent]).toEqual([['unavailable'], []])
  })

  test('counts as delivered what is too large for the client, however many they are', async () => {
    client.largest = 3
    start(5)
    const large = Array.from({ length: 900 }, () => aMessage({ payload: Buffer.from('large') }))
    await store(...large, ...numbered(1))
    for (const message of large) delivery.live(message, terms)
    delivery.lookForMissed()
    await eventually('the small one is sent', () => client.sent.length === 1)
    await eventually(
      'the others are forgotten',
      async () => (await persistence.outgoingPage(owner, '', 9)).messages.length === 1,
    )
  })
})

describe('the delivery to a session that ends with its connection', () => {
  test('ends one that lets too much wait', () => {
    start(1, false)
    for (const message of numbered(defaultLimits.maxWaiting + 2)) delivery.live(message, terms)
    expect(client.ends).toEqual(['too-slow'])
  })

  test('does not count down through ten thousand that are too large', () => {
    start(1, false)
    delivery.live(aMessage(), terms)
    client.largest = 0
    for (const message of numbered(9_000)) delivery.live(message, terms)
    expect(delivery.acknowledged(client.sent[0]?.messageId ?? 0)).toBe(true)
    expect([client.sent.length, client.ends]).toEqual([1, []])
  })

  test('has room for a retained message when there are few before it', async () => {
    start(1, false)
    for (let index = 0; index < 200; index += 1) delivery.retained(aMessage(), 1)
    delivery.retained(aMessage(), 1)
    const room = delivery.room()
    expect(room).toBeInstanceOf(Promise)
    let hasRoom = false
    void room?.then(() => (hasRoom = true))
    await acknowledgeAll(() => client.sent.length > 50)
    await eventually('there is room', () => hasRoom)
  })
})
