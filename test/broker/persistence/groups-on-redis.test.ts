import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type RedisConnection } from '#core/stores/redis-connection.ts'
import { groupOf } from '../../../broker/persistence/group.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { readSummons, type Summons } from '../../../broker/persistence/summons.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aMessage } from '../../fixtures/messages.ts'

const shared = '$share/workers/jobs/+'
const [one, two] = [{ id: 'user:a/1' }, { id: 'user:b/1' }]

let place: ConnectedRedis
let redis: RedisConnection
let hub: AnnouncerHub
let prefix: string
const open: RedisPersistence[] = []

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})
beforeEach(() => {
  hub = new AnnouncerHub()
  prefix = `cs:{${randomUUID()}}:mq:`
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((persistence) => persistence.destroy()))
})
afterAll(async () => {
  await place.stop()
})

/** The persistence of one replica, and what its members are told. */
async function replicaOf(
  replica: string,
  tickMs = 60_000,
): Promise<{ persistence: RedisPersistence; summons: Summons[] }> {
  const persistence = new RedisPersistence(redis, prefix, { replica, tickMs })
  open.push(persistence)
  const summons: Summons[] = []
  const { mq } = hub.join()
  const emit: typeof mq.emit = (message, done) => {
    const read = readSummons((message as { payload: Buffer }).payload)
    if (read === undefined) mq.emit(message, done)
    else summons.push(read)
  }
  await persistence.setup({ mq: { ...mq, emit } })
  return { persistence, summons }
}

async function join(
  persistence: RedisPersistence,
  owner: { id: string },
  expirySeconds = 60,
): Promise<string> {
  const { epoch } = await persistence.openSession(owner, false, expirySeconds)
  await persistence.addSubscriptions(owner, [{ topic: shared, qos: 1 }])
  return epoch
}

async function publish(persistence: RedisPersistence, payload = 'x'): Promise<void> {
  const message = aMessage({ topic: 'jobs/1', payload: Buffer.from(payload) })
  await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
}

async function payloadsOf(persistence: RedisPersistence, owner: { id: string }): Promise<string[]> {
  const { messages } = await persistence.outgoingPage(owner, '', 1_000)
  return messages.map(({ message }) => message?.payload.toString() ?? '')
}

test('a group that begins or ends on one replica is known on the others', async () => {
  const [here, there] = [await replicaOf('here'), await replicaOf('there')]
  await join(here.persistence, one)
  const groups = (): readonly string[] => there.persistence.groupsOf('jobs/1')
  await eventually('the other knows it', () => groups().includes(groupOf(shared) as string))
  await join(there.persistence, two)
  await here.persistence.endSession(one)
  expect(groups()).toHaveLength(1)
  await there.persistence.endSession(two)
  await eventually('both know that it has ended', () => {
    return groups().length + here.persistence.groupsOf('jobs/1').length === 0
  })
})

test('a replica that has not heard of a group gives it its messages all the same', async () => {
  const [here, there] = [await replicaOf('here'), await replicaOf('there')]
  // Something is stored, so that messages go through the store.
  await there.persistence.openSession(two, false, 60)
  await there.persistence.addSubscriptions(two, [{ topic: 'jobs/#', qos: 1 }])
  hub.isCut = true
  await join(here.persistence, one)
  await publish(there.persistence)
  expect(await payloadsOf(here.persistence, one)).toEqual(['x'])
})

test('members of a replica that died are passed by; what they had goes to the others, who are told', async () => {
  const [here, dead] = [await replicaOf('here'), await replicaOf('dead')]
  await join(here.persistence, one)
  await join(dead.persistence, two)
  await join(dead.persistence, { id: 'user:c/1' }, 0)
  for (let count = 0; count < 3; count += 1) await publish(here.persistence, String(count))
  here.summons.length = 0
  await here.persistence.leaveForReplica('dead')
  expect(here.summons).toEqual([{ why: 'missed', ids: [one.id] }])
  await publish(here.persistence, '3')
  expect((await payloadsOf(here.persistence, one)).toSorted()).toEqual(['0', '1', '2', '3'])
  // The session that was to end with its connection has ended.
  expect(await redis.zrange(`${prefix}sessions`, 0, -1)).not.toContain('user:c/1')
  expect(await redis.zrange(`${prefix}sessions`, 0, -1)).toContain(two.id)
})

test('a replica that was taken for dead has its members back, but those whose session has ended', async () => {
  const here = await replicaOf('here')
  const epochs = [await join(here.persistence, one), await join(here.persistence, two, 0)] as const
  await here.persistence.leaveForReplica('here')
  await publish(here.persistence)
  expect(await here.persistence.turnOf(groupOf(shared) as string)).toBeUndefined()
  expect(await here.persistence.returnToGroups(one, epochs[0])).toBe(true)
  expect(await here.persistence.returnToGroups(two, epochs[1])).toBe(false)
  expect(await here.persistence.returnToGroups(one, 'another')).toBe(false)
  expect(here.summons.at(-1)).toEqual({ why: 'missed', ids: [one.id] })
  expect(await here.persistence.turnOf(groupOf(shared) as string)).toEqual({ id: one.id, replica: 'here' })
  expect(await payloadsOf(here.persistence, one)).toEqual(['x'])
})

test('members look again from time to time, for what nobody could tell them', async () => {
  const here = await replicaOf('here', 50)
  await join(here.persistence, one)
  here.summons.length = 0
  await eventually('it is told to look', () => here.summons.some(({ ids }) => ids.includes(one.id)))
})

test('everything of a group ends by itself, and at once with its last member', async () => {
  const here = await replicaOf('here')
  const epoch = await join(here.persistence, one)
  await publish(here.persistence)
  await here.persistence.closeSession(one, epoch, 60)
  await publish(here.persistence)
  for (const key of await redis.keys(`${prefix}*`)) {
    expect.soft(await redis.pttl(key), key).toBeGreaterThan(0)
  }
  await here.persistence.endSession(one)
  const left = (await redis.keys(`${prefix}*`)).map((key) => key.slice(prefix.length))
  expect(left.toSorted()).toEqual(['changes', 'revision', 'sequence'])
})
