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

    const publish = async (message: RoutedMessage): Promise<void> =>
      persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
    const queueOf = async ({ id }: { id: string }): Promise<QueuedMessage[]> => {
      const all: QueuedMessage[] = []
      for (let after = ''; ;) {
        const page = await persistence.outgoingPage({ id }, after, 7)
        all.push(...page.messages)
        if (page.isLast) return all
        after = page.next
      }
    }
    const payloads = (messages: readonly QueuedMessage[]): (string | undefined)[] =>
      messages.map(({ message }) => message?.payload.toString())

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
