import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RoutedMessage } from '../../broker/aedes/messages.ts'
import { groupOf } from '../../broker/persistence/group.ts'
import {
  defaultPersistenceLimits,
  messageName,
  type QueuedMessage,
  type SessionPersistence,
} from '../../broker/persistence/session-persistence.ts'
import type { Announcer } from '../../broker/persistence/known-subscriptions.ts'
import { readSummons, type Summons } from '../../broker/persistence/summons.ts'
import { aMessage } from '../fixtures/messages.ts'
import { enqueueFor, payloadsIn, readQueue } from '../fixtures/session-queues.ts'

const shared = '$share/workers/jobs/+'
const group = groupOf(shared) as string

/** Every persistence runs this. `create` gives one that is empty and nobody else's, set up with this emitter. */
export function describeGroupPersistence(
  name: string,
  create: (announcer: Announcer) => Promise<SessionPersistence>,
): void {
  describe(`${name} keeps the contract of groups:`, () => {
    let persistence: SessionPersistence
    let summons: Summons[] = []
    beforeEach(async () => {
      summons = []
      persistence = await create({
        mq: {
          on: () => {},
          removeListener: () => {},
          emit: (message, done) => {
            const read = readSummons((message as { payload: Buffer }).payload)
            if (read !== undefined) summons.push(read)
            done()
          },
        },
      })
    })
    afterEach(() => persistence.destroy())

    /** Opens a session and makes it a member. Returns its opening. */
    const join = async (id: string, expirySeconds = 60, filter = shared, qos: 1 | 2 = 2): Promise<string> => {
      const { epoch } = await persistence.openSession({ id }, false, expirySeconds)
      await persistence.addSubscriptions({ id }, [{ topic: filter, qos }])
      return epoch
    }
    const publish = async (over: Partial<RoutedMessage> = {}): Promise<RoutedMessage> => {
      const message = aMessage({ topic: 'jobs/1', ...over })
      await enqueueFor(persistence, message)
      return message
    }
    const queueOf = (id: string): Promise<QueuedMessage[]> => readQueue(persistence, id)
    const payloadsOf = async (id: string): Promise<(string | undefined)[]> => payloadsIn(await queueOf(id))
    const publishMany = async (count: number): Promise<string[]> => {
      const payloads = Array.from({ length: count }, (_, index) => `m${index}`)
      for (const payload of payloads) await publish({ payload: Buffer.from(payload) })
      return payloads
    }

    test('each message goes to one member, in turn', async () => {
      for (const id of ['user:a/1', 'user:b/1', 'user:c/1']) await join(id)
      const payloads = await publishMany(9)
      const queues = await Promise.all(['user:a/1', 'user:b/1', 'user:c/1'].map(payloadsOf))
      expect(queues.map(({ length }) => length)).toEqual([3, 3, 3])
      expect(queues.flat().toSorted()).toEqual(payloads)
      expect(summons.every(({ why, ids }) => why === 'more' && ids.length === 1)).toBe(true)
      expect(summons).toHaveLength(9)
    })

    test('copies are named after their group, beside what the member subscribes to itself', async () => {
      await join('user:a/1')
      await persistence.addSubscriptions({ id: 'user:a/1' }, [{ topic: 'jobs/#', qos: 1 }])
      const message = await publish()
      const names = (await queueOf('user:a/1')).map((each) => each.name)
      expect(names.toSorted()).toEqual([messageName(message), `${messageName(message)}${group}`])
    })

    test('groups of other names and filters get copies of their own; others get none', async () => {
      await join('user:a/1')
      await join('user:b/1', 60, '$share/others/jobs/+')
      await join('user:c/1', 60, '$share/workers/jobs/1')
      await join('user:d/1', 60, '$share/workers/elsewhere')
      await publish()
      const lengths = await Promise.all(
        ['user:a/1', 'user:b/1', 'user:c/1', 'user:d/1'].map(async (id) => (await queueOf(id)).length),
      )
      expect(lengths).toEqual([1, 1, 1, 0])
      expect(persistence.groupsOf('jobs/1')).toHaveLength(3)
      expect(persistence.groupsOf('nowhere')).toEqual([])
    })

    test('a copy has the QoS of its message', async () => {
      await join('user:a/1')
      for (const qos of [1, 2] as const) await publish({ qos })
      expect((await queueOf('user:a/1')).map(({ message }) => message?.qos)).toEqual([1, 2])
    })

    test('while no member is connected messages wait, in order, for the first that is', async () => {
      const epochs = [await join('user:a/1'), await join('user:b/1')]
      await persistence.closeSession({ id: 'user:a/1' }, epochs[0] as string, 60)
      await persistence.closeSession({ id: 'user:b/1' }, epochs[1] as string, 60)
      const payloads = await publishMany(20)
      expect(await persistence.turnOf(group)).toBeUndefined()
      await persistence.openSession({ id: 'user:b/1' }, false, 60)
      expect(await payloadsOf('user:b/1')).toEqual(payloads)
      await persistence.openSession({ id: 'user:a/1' }, false, 60)
      expect(await payloadsOf('user:a/1')).toEqual([])
    })

    test('a member that loses its connection is passed over, and its messages go to another that is told', async () => {
      const epoch = await join('user:a/1')
      await join('user:b/1')
      const payloads = await publishMany(6)
      summons = []
      await persistence.closeSession({ id: 'user:a/1' }, epoch, 60)
      expect(summons).toEqual([{ why: 'missed', ids: ['user:b/1'] }])
      await publish({ payload: Buffer.from('later') })
      expect((await payloadsOf('user:b/1')).toSorted()).toEqual([...payloads, 'later'].toSorted())
      expect(await payloadsOf('user:a/1')).toEqual([])
    })

    test('of what it was sent already, QoS 1 goes to another and QoS 2 waits for its return [MQTT-4.8.2-4] [MQTT-4.8.2-5]', async () => {
      const epoch = await join('user:a/1')
      for (const qos of [1, 2, 2] as const) await publish({ qos, payload: Buffer.from(`qos ${qos}`) })
      const [once, exactlyOnce, released] = (await queueOf('user:a/1')).map((each) => each.name)
      await persistence.outgoingApply({ id: 'user:a/1' }, [
        { kind: 'sent', name: once as string, messageId: 1 },
        { kind: 'sent', name: exactlyOnce as string, messageId: 2 },
        { kind: 'received', name: released as string, messageId: 3 },
      ])
      await join('user:b/1')
      await persistence.closeSession({ id: 'user:a/1' }, epoch, 60)
      expect(await payloadsOf('user:b/1')).toEqual(['qos 1'])
      const back = await persistence.openSession({ id: 'user:a/1' }, false, 60)
      expect(back.sent.map(({ messageId }) => messageId).toSorted()).toEqual([2, 3])
      await persistence.endSession({ id: 'user:a/1' })
      expect(await payloadsOf('user:b/1')).toEqual(['qos 1'])
    })

    test('what only it could get stays as it was sent until it is back [MQTT-4.4.0-1]', async () => {
      const epoch = await join('user:a/1')
      const payloads = await publishMany(2)
      const [first] = await queueOf('user:a/1')
      await persistence.outgoingApply({ id: 'user:a/1' }, [
        { kind: 'sent', name: first?.name ?? '', messageId: 9 },
      ])
      await persistence.closeSession({ id: 'user:a/1' }, epoch, 60)
      const { sent } = await persistence.openSession({ id: 'user:a/1' }, false, 60)
      expect(sent).toMatchObject([{ messageId: 9 }])
      expect(await payloadsOf('user:a/1')).toEqual(payloads)
    })

    test('a member whose session ends leaves all to the others, also to those that are away', async () => {
      const away = await join('user:b/1')
      const ending = await join('user:a/1', 0)
      await persistence.closeSession({ id: 'user:b/1' }, away, 60)
      const payloads = await publishMany(3)
      const [first] = await queueOf('user:a/1')
      await persistence.outgoingApply({ id: 'user:a/1' }, [
        { kind: 'sent', name: first?.name ?? '', messageId: 1 },
      ])
      await persistence.closeSession({ id: 'user:a/1' }, ending, 0)
      await persistence.openSession({ id: 'user:b/1' }, false, 60)
      expect((await payloadsOf('user:b/1')).toSorted()).toEqual(payloads)
    })

    test('who unsubscribes keeps what it was sent, and leaves the rest to the others [MQTT-3.10.4-3]', async () => {
      await join('user:a/1')
      await publishMany(2)
      const [first] = await queueOf('user:a/1')
      await persistence.outgoingApply({ id: 'user:a/1' }, [
        { kind: 'sent', name: first?.name ?? '', messageId: 1 },
      ])
      await join('user:b/1')
      await persistence.removeSubscriptions({ id: 'user:a/1' }, [shared])
      expect(await payloadsOf('user:a/1')).toEqual(['m0'])
      await publish({ payload: Buffer.from('m2') })
      expect(await payloadsOf('user:b/1')).toEqual(['m1', 'm2'])
    })

    test('the group ends with its last member, and what waited with it', async () => {
      const epoch = await join('user:a/1')
      await persistence.closeSession({ id: 'user:a/1' }, epoch, 60)
      await publishMany(2)
      await persistence.endSession({ id: 'user:a/1' })
      expect(persistence.groupsOf('jobs/1')).toEqual([])
      await join('user:b/1')
      expect(await payloadsOf('user:b/1')).toEqual([])
      await persistence.removeSubscriptions({ id: 'user:b/1' }, [shared])
      expect(persistence.groupsOf('jobs/1')).toEqual([])
    })

    test('a clean start leaves the group', async () => {
      await join('user:a/1')
      await join('user:b/1')
      const payloads = await publishMany(2)
      await persistence.openSession({ id: 'user:a/1' }, true, 60)
      expect((await payloadsOf('user:b/1')).toSorted()).toEqual(payloads)
      expect(await payloadsOf('user:a/1')).toEqual([])
    })

    test('turns without a message go round too', async () => {
      for (const id of ['user:a/1', 'user:b/1']) await join(id)
      const turns = [await persistence.turnOf(group), await persistence.turnOf(group)]
      expect(turns.map((turn) => turn?.id).toSorted()).toEqual(['user:a/1', 'user:b/1'])
      expect(await persistence.turnOf(groupOf('$share/none/x') as string)).toBeUndefined()
    })

    test('a full queue takes no more, and says so', async () => {
      let dropped = 0
      persistence.configure({
        ...defaultPersistenceLimits,
        queued: 2,
        onDropped: (count) => (dropped += count),
      })
      await join('user:a/1')
      await publishMany(3)
      expect(await payloadsOf('user:a/1')).toEqual(['m0', 'm1'])
      expect(dropped).toBe(1)
    })
  })
}
