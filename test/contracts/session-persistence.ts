import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { matches } from '#core/access/topic-filter.ts'
import type { RoutedMessage } from '../../broker/aedes/messages.ts'
import {
  defaultPersistenceLimits,
  messageName,
  type QueuedMessage,
  type SessionPersistence,
} from '../../broker/persistence/session-persistence.ts'
import { eventually } from '../fixtures/eventually.ts'
import { enqueueFor, payloadsIn, readQueue } from '../fixtures/session-queues.ts'
import { aMessage, expiryProperty, someFilters, someTopics } from '../fixtures/messages.ts'

const owner = { id: 'user:ada/device {x}:*' }
const other = { id: 'user:bob/device' }

/** Every persistence runs this. `create` gives one that is set up, empty and nobody else's. */
export function describeSessionPersistence(name: string, create: () => Promise<SessionPersistence>): void {
  describe(`${name} keeps the contract of a session persistence:`, () => {
    let persistence: SessionPersistence
    beforeEach(async () => {
      persistence = await create()
    })
    afterEach(() => persistence.destroy())

    const publish = (message: RoutedMessage): Promise<void> => enqueueFor(persistence, message)
    const queueOf = ({ id }: { id: string }): Promise<QueuedMessage[]> => readQueue(persistence, id)
    const payloads = payloadsIn

    describe('a session', () => {
      test('is there from its first opening on, with subscriptions or without', async () => {
        expect(await persistence.openSession(owner, false, 60)).toMatchObject({ isPresent: false })
        expect(await persistence.openSession(owner, false, 60)).toMatchObject({ isPresent: true })
        expect(await persistence.openSession(other, false, 60)).toMatchObject({ isPresent: false })
      })

      test('is found again with everything of its subscriptions', async () => {
        await persistence.openSession(owner, false, 60)
        const full = {
          topic: 'a/+/#',
          qos: 2,
          rh: 1,
          rap: true,
          nl: true,
          subscriptionIdentifier: 7,
        } as const
        await persistence.addSubscriptions(owner, [full, { topic: 'constructor', qos: 0 }])
        const { subscriptions } = await persistence.openSession(owner, false, 60)
        expect([...subscriptions].sort((a, b) => (a.topic < b.topic ? -1 : 1))).toMatchObject([
          full,
          { topic: 'constructor', qos: 0 },
        ])
      })

      test('that is opened clean has nothing of the former one', async () => {
        await persistence.openSession(owner, false, 60)
        await persistence.addSubscriptions(owner, [{ topic: '#', qos: 1 }])
        await persistence.incomingStore(owner, 5)
        await publish(aMessage())
        const opened = await persistence.openSession(owner, true, 60)
        expect(opened).toMatchObject({ isPresent: false, subscriptions: [], incoming: [], sent: [] })
        expect(await queueOf(owner)).toEqual([])
        await publish(aMessage())
        expect(await queueOf(owner)).toEqual([])
      })

      test('ends with its connection when it has no expiry, and at once when it is ended', async () => {
        const first = await persistence.openSession(owner, false, 0)
        await persistence.addSubscriptions(owner, [{ topic: '#', qos: 1 }])
        await persistence.closeSession(owner, first.epoch, 0)
        expect(await persistence.subscriptionsByTopic('a')).toEqual([])
        await persistence.openSession(owner, false, 60)
        await persistence.addSubscriptions(owner, [{ topic: '#', qos: 1 }])
        await persistence.endSession(owner)
        expect(await persistence.openSession(owner, false, 60)).toMatchObject({ isPresent: false })
      })

      test('ends when its time after the connection is over, and its queue with it', async () => {
        const { epoch } = await persistence.openSession(owner, false, 60)
        await persistence.addSubscriptions(owner, [{ topic: '#', qos: 1 }])
        await publish(aMessage())
        await persistence.closeSession(owner, epoch, 0.05)
        await eventually('nothing is queued any more', async () => {
          await publish(aMessage())
          return (await persistence.subscriptionsByTopic('a')).length === 0
        })
        expect(await queueOf(owner)).toEqual([])
        expect(await persistence.openSession(owner, false, 60)).toMatchObject({
          isPresent: false,
          subscriptions: [],
        })
      })

      test('is not closed by a connection that it was taken from', async () => {
        const former = await persistence.openSession(owner, false, 0)
        await persistence.openSession(owner, false, 60)
        await persistence.closeSession(owner, former.epoch, 0)
        expect(await persistence.openSession(owner, false, 60)).toMatchObject({ isPresent: true })
      })

      test('remembers packet ids of QoS 2 messages until they are released', async () => {
        await persistence.openSession(owner, false, 60)
        for (const id of [1, 2, 65_535, 2]) await persistence.incomingStore(owner, id)
        await persistence.incomingForget(owner, 2)
        await persistence.incomingForget(owner, 77)
        const { incoming } = await persistence.openSession(owner, false, 60)
        expect([...incoming].sort((a, b) => a - b)).toEqual([1, 65_535])
      })

      test('that is not there takes no subscription and no packet id', async () => {
        await expect(persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])).rejects.toThrow()
        await expect(persistence.incomingStore(owner, 1)).rejects.toThrow()
        expect(await persistence.subscriptionsByTopic('a')).toEqual([])
      })
    })

    describe('subscriptions', () => {
      beforeEach(async () => {
        for (const each of [owner, other]) await persistence.openSession(each, false, 60)
      })

      test('count at once, as often as they are made, and as they were made last', async () => {
        for (const qos of [1, 1, 2] as const)
          await persistence.addSubscriptions(owner, [{ topic: 'a/+', qos }])
        expect(await persistence.subscriptionsByTopic('a/b')).toMatchObject([
          { clientId: owner.id, topic: 'a/+', qos: 2 },
        ])
        await persistence.addSubscriptions(owner, [{ topic: 'a/+', qos: 0 }])
        expect(await persistence.subscriptionsByTopic('a/b')).toEqual([])
      })

      test('many at once, and none, are stored and removed', async () => {
        const filters = Array.from({ length: 300 }, (_, index) => `many/${index}`)
        await persistence.addSubscriptions(owner, [])
        await persistence.addSubscriptions(
          owner,
          filters.map((topic) => ({ topic, qos: 1 })),
        )
        await persistence.removeSubscriptions(owner, [])
        await persistence.removeSubscriptions(owner, [...filters.slice(1), 'never there'])
        const { subscriptions } = await persistence.openSession(owner, false, 60)
        expect(subscriptions.map(({ topic }) => topic)).toEqual(['many/0'])
        expect(await persistence.subscriptionsByTopic('many/0')).toHaveLength(1)
        expect(await persistence.subscriptionsByTopic('many/1')).toEqual([])
      })

      test('of one session are not those of another', async () => {
        for (const each of [owner, other]) await persistence.addSubscriptions(each, [{ topic: 'a', qos: 1 }])
        await persistence.removeSubscriptions(other, ['a'])
        expect((await persistence.subscriptionsByTopic('a')).map(({ clientId }) => clientId)).toEqual([
          owner.id,
        ])
      })

      test('match as filters do, whatever stands in them', async () => {
        await fc.assert(
          fc.asyncProperty(someFilters, someTopics, async (subscribed, published) => {
            await persistence.openSession(owner, true, 60)
            await persistence.addSubscriptions(
              owner,
              subscribed.map((topic) => ({ topic, qos: 1 })),
            )
            for (const topic of published) {
              const found = await persistence.subscriptionsByTopic(topic)
              expect(new Set(found.map((each) => each.topic))).toEqual(
                new Set(subscribed.filter((filter) => matches(filter, topic))),
              )
            }
          }),
          { numRuns: 60 },
        )
      })
    })

    describe('a queue', () => {
      beforeEach(async () => {
        await persistence.openSession(owner, false, 60)
        await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
      })

      test('gives messages in order, page by page, with everything of them', async () => {
        const properties = Buffer.from([0x09, 0, 3, 0, 255, 7])
        const sent = Array.from({ length: 30 }, (_, index) =>
          aMessage({
            payload: Buffer.from([0, 255, index]),
            properties,
            clientId: 'user:bob/x',
            retain: true,
          }),
        )
        for (const message of sent) await publish(message)
        const queue = await queueOf(owner)
        expect(queue.map(({ name }) => name)).toEqual(sent.map(messageName))
        expect(queue[29]?.message).toEqual(sent[29])
        expect(queue.every(({ isReleased, messageId }) => !isReleased && messageId === undefined)).toBe(true)
      })

      test('has each message once, at the highest QoS that was granted and not above its own', async () => {
        await persistence.addSubscriptions(owner, [
          { topic: '#', qos: 2 },
          { topic: '+', qos: 1 },
        ])
        for (const qos of [1, 2] as const) await publish(aMessage({ qos }))
        expect((await queueOf(owner)).map(({ message }) => message?.qos)).toEqual([1, 2])
      })

      test('has no message of its own client where all its filters are no-local', async () => {
        await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1, nl: true }])
        await publish(aMessage({ clientId: owner.id, payload: Buffer.from('own') }))
        await publish(aMessage({ clientId: other.id, payload: Buffer.from('other') }))
        await persistence.addSubscriptions(owner, [{ topic: '+', qos: 1 }])
        await publish(aMessage({ clientId: owner.id, payload: Buffer.from('own, by another filter') }))
        expect(payloads(await queueOf(owner))).toEqual(['other', 'own, by another filter'])
      })

      test('remembers what was sent, what was received and what is done', async () => {
        const [first, second, third, fourth] = [1, 2, 3, 4].map(() => aMessage({ qos: 2 })) as [
          RoutedMessage,
          RoutedMessage,
          RoutedMessage,
          RoutedMessage,
        ]
        for (const message of [first, second, third, fourth]) await publish(message)
        const step = (kind: 'sent' | 'received' | 'done', message: RoutedMessage, messageId: number) =>
          ({ kind, name: messageName(message), messageId }) as const
        await persistence.outgoingApply(owner, [
          step('sent', first, 9),
          step('sent', second, 65_535),
          step('sent', third, 11),
        ])
        await persistence.outgoingApply(owner, [step('received', second, 65_535), step('done', first, 9)])
        expect(await queueOf(owner)).toMatchObject([
          { name: messageName(second), messageId: 65_535, isReleased: true },
          { name: messageName(third), messageId: 11, isReleased: false, message: { topic: 'a' } },
          { name: messageName(fourth), isReleased: false },
        ])
        const { sent } = await persistence.openSession(owner, false, 60)
        expect([...sent].sort((a, b) => a.messageId - b.messageId)).toEqual([
          { name: messageName(third), messageId: 11 },
          { name: messageName(second), messageId: 65_535 },
        ])
      })

      test('remembers nothing of a message that it does not have', async () => {
        await persistence.outgoingApply(owner, [
          { kind: 'sent', name: 'r:1', messageId: 1 },
          { kind: 'received', name: 'r:2', messageId: 2 },
          { kind: 'done', name: 'r:3', messageId: 3 },
        ])
        expect(await queueOf(owner)).toEqual([])
        expect((await persistence.openSession(owner, false, 60)).sent).toEqual([])
      })

      test('that is full keeps what it has, tells how many it did not take, and takes again when there is room', async () => {
        let dropped = 0
        persistence.configure({
          ...defaultPersistenceLimits,
          queued: 3,
          onDropped: (count) => (dropped += count),
        })
        for (const payload of ['1', '2', '3', '4', '5'])
          await publish(aMessage({ payload: Buffer.from(payload) }))
        const queue = await queueOf(owner)
        expect([payloads(queue), dropped]).toEqual([['1', '2', '3'], 2])
        await persistence.outgoingApply(owner, [{ kind: 'done', name: queue[0]?.name ?? '', messageId: 1 }])
        await publish(aMessage({ payload: Buffer.from('6') }))
        expect(payloads(await queueOf(owner))).toEqual(['2', '3', '6'])
      })

      test('that is nearly full takes the first of those that come at once', async () => {
        let dropped = 0
        persistence.configure({
          ...defaultPersistenceLimits,
          queued: 4,
          onDropped: (count) => (dropped += count),
        })
        await publish(aMessage({ payload: Buffer.from('0') }))
        await Promise.all(
          ['1', '2', '3', '4', '5', '6'].map((payload) =>
            publish(aMessage({ payload: Buffer.from(payload) })),
          ),
        )
        expect([payloads(await queueOf(owner)), dropped]).toEqual([['0', '1', '2', '3'], 3])
      })

      test('has what comes at once in its order, whoever else gets it and at whatever QoS', async () => {
        const ids = ['user:ada/device', 'user:bob/x', 'user:eve/y']
        const grants = fc.array(
          fc.record({ topic: fc.nat(3), qos: fc.constantFrom(1 as const, 2 as const) }),
          {
            maxLength: 4,
          },
        )
        const publishes = fc.array(
          fc.record({ topic: fc.nat(3), qos: fc.constantFrom(1 as const, 2 as const), from: fc.nat(2) }),
          { maxLength: 40 },
        )
        const subscribed = fc.tuple(grants, grants, grants)
        await fc.assert(
          fc.asyncProperty(subscribed, publishes, fc.boolean(), async (all, sent, nl) => {
            for (const [index, id] of ids.entries()) {
              await persistence.openSession({ id }, true, 60)
              const subscriptions = (all[index] ?? []).map(({ topic, qos }) => ({
                topic: `t/${topic}`,
                qos,
                nl,
              }))
              await persistence.addSubscriptions({ id }, subscriptions)
            }
            const messages = sent.map(({ topic, qos, from }) =>
              aMessage({ topic: `t/${topic}`, qos, clientId: ids[from] ?? '' }),
            )
            await Promise.all(messages.map(publish))
            for (const [index, id] of ids.entries()) {
              const granted = new Map((all[index] ?? []).map(({ topic, qos }) => [`t/${topic}`, qos]))
              const expected = messages
                .filter(({ topic, clientId }) => granted.has(topic) && !(nl && clientId === id))
                .map((message) => [
                  messageName(message),
                  Math.min(message.qos, granted.get(message.topic) ?? 0),
                ])
              const queue = await queueOf({ id })
              expect(queue.map(({ name, message }) => [name, message?.qos])).toEqual(expected)
            }
          }),
          { numRuns: 60 },
        )
      })

      test('remembers a thousand and more steps at once, of several sessions, and those of one message in their order', async () => {
        await persistence.openSession(other, false, 60)
        await persistence.addSubscriptions(other, [{ topic: 'a', qos: 2 }])
        const messages = Array.from({ length: 1_500 }, () => aMessage({ qos: 2 }))
        await Promise.all(messages.map(publish))
        const steps = (kind: 'sent' | 'received' | 'done', some: readonly RoutedMessage[]) =>
          some.map((message, index) => ({ kind, name: messageName(message), messageId: index + 1 }))
        await Promise.all([
          persistence.outgoingApply(owner, [
            ...steps('sent', messages),
            ...steps('received', messages.slice(0, 1_400)),
            ...steps('done', messages.slice(0, 1_300)),
          ]),
          persistence.outgoingApply(other, steps('done', messages.slice(10))),
        ])
        const [own, others] = [await queueOf(owner), await queueOf(other)]
        expect(own).toHaveLength(200)
        expect(own.map(({ messageId }) => messageId)).toEqual(own.map((_, index) => 1_301 + index))
        expect(own.map(({ isReleased }) => isReleased)).toEqual(own.map((_, index) => index < 100))
        expect(own.map(({ message }) => message === undefined)).toEqual(own.map((_, index) => index < 100))
        expect(others.map(({ name }) => name)).toEqual(messages.slice(0, 10).map(messageName))
        expect((await persistence.openSession(owner, false, 60)).sent).toHaveLength(200)
      })

      test('says when a message came', async () => {
        await publish(aMessage())
        await pause(30)
        await publish(aMessage())
        const { messages, now } = await persistence.outgoingPage(owner, '', 10)
        const [first, second] = messages.map(({ storedAt }) => now - storedAt)
        expect(first).toBeGreaterThanOrEqual(25)
        expect(first).toBeLessThan(5_000)
        expect(second).toBeLessThan(first ?? 0)
      })

      test('gives a message with what is left of its expiry, and one whose time is over without its content', async () => {
        await publish(aMessage({ properties: expiryProperty(0) }))
        await publish(aMessage({ properties: expiryProperty(100), payload: Buffer.from('lasting') }))
        const [over, lasting] = await queueOf(owner)
        expect(over).toMatchObject({ isReleased: false })
        expect(over?.message).toBeUndefined()
        expect(lasting?.message?.properties).toEqual(expiryProperty(100))
      })

      test('of a session that does not match stays empty', async () => {
        await publish(aMessage({ topic: 'b' }))
        await persistence.outgoingEnqueueCombi(
          [{ clientId: 'user:nobody/x', topic: 'a', qos: 1 }],
          aMessage(),
        )
        expect(await queueOf(owner)).toEqual([])
        expect(await queueOf({ id: 'user:nobody/x' })).toEqual([])
      })
    })
  })
}
