import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { messageName } from '../../../broker/persistence/session-persistence.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aMessage, expiryProperty } from '../../fixtures/messages.ts'

const owner = { id: 'user:ada/device' }
const other = { id: 'user:bob/device' }

let place: ConnectedRedis
let redis: Redis
const open: RedisPersistence[] = []

beforeAll(async () => {
  // Uncompressed, so that DUMP shows what lies in a key.
  place = await startConnectedRedis('--rdbcompression', 'no')
  redis = await place.connection()
})

afterEach(async () => {
  for (const persistence of open.splice(0)) await persistence.destroy()
})

afterAll(async () => {
  await place.stop()
})

const freshPrefix = (): string => `cs:{${randomUUID()}}:mq:`

async function replica(prefix: string, hub = new AnnouncerHub(), own = redis): Promise<RedisPersistence> {
  // Nothing that was not asked for is sent while commands are counted.
  const persistence = new RedisPersistence(own, prefix, { tickMs: 600_000 })
  open.push(persistence)
  await persistence.setup(hub.join())
  return persistence
}

async function publish(persistence: RedisPersistence, message = aMessage()): Promise<void> {
  await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
}

async function queued(persistence: RedisPersistence, whose = owner): Promise<string[]> {
  return (await persistence.outgoingPage(whose, '', 1_000)).messages.map(({ name }) => name)
}

/** Commands that this does, as the server counts them; those inside scripts are not. */
async function roundTrips(work: () => Promise<unknown>): Promise<number> {
  const before = sent
  await work()
  return sent - before
}
let sent = 0
beforeAll(() => {
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, stream) => {
    // Nor those that only look whether the connection lives.
    if (command.name !== 'ping') sent += 1
    return send(command, stream)
  }
})

describe('on two replicas', () => {
  test('a subscription, its change and its end count on the other one too', async () => {
    const [prefix, hub] = [freshPrefix(), new AnnouncerHub()]
    const [here, there] = [await replica(prefix, hub), await replica(prefix, hub)]
    await here.openSession(owner, false, 60)
    await here.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    expect(await there.subscriptionsByTopic('a')).toMatchObject([{ clientId: owner.id, qos: 1 }])
    await here.removeSubscriptions(owner, ['a'])
    expect(await there.subscriptionsByTopic('a')).toEqual([])
    await there.addSubscriptions(owner, [{ topic: 'a', qos: 2 }])
    expect(await here.subscriptionsByTopic('a')).toMatchObject([{ clientId: owner.id, qos: 2 }])
    await here.openSession(owner, true, 60)
    expect(await there.subscriptionsByTopic('a')).toEqual([])
  })

  test('what nobody told of is found by the next message, and queued for it', async () => {
    const [prefix, hub] = [freshPrefix(), new AnnouncerHub()]
    const [here, there] = [await replica(prefix, hub), await replica(prefix, hub)]
    for (const each of [owner, other]) await here.openSession(each, false, 60)
    await here.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    hub.isCut = true
    await here.addSubscriptions(other, [{ topic: '+', qos: 1 }])
    expect(await there.subscriptionsByTopic('a')).toHaveLength(1)
    const message = aMessage()
    await publish(there, message)
    expect([await queued(there, owner), await queued(there, other)]).toEqual([
      [messageName(message)],
      [messageName(message)],
    ])
    expect(await there.subscriptionsByTopic('a')).toHaveLength(2)
  })

  test('more changes than Redis remembers, and a Redis that was emptied, are read anew', async () => {
    const [prefix, hub] = [freshPrefix(), new AnnouncerHub()]
    const [here, there] = [await replica(prefix, hub), await replica(prefix, hub)]
    await here.openSession(owner, false, 60)
    await here.addSubscriptions(owner, [{ topic: 'gone', qos: 1 }])
    hub.isCut = true
    await here.removeSubscriptions(owner, ['gone'])
    for (let index = 0; index < 1_500; index += 1) {
      await here.addSubscriptions(owner, [{ topic: `t/${index % 10}`, qos: 1 }])
    }
    hub.isCut = false
    await here.addSubscriptions(owner, [{ topic: 'last', qos: 1 }])
    await eventually('it is known', async () => (await there.subscriptionsByTopic('last')).length === 1)
    expect(await there.subscriptionsByTopic('t/9')).toHaveLength(1)
    expect(await there.subscriptionsByTopic('gone')).toEqual([])
    await redis.del(...(await redis.keys(`${prefix}*`)))
    await here.openSession(other, false, 60)
    await here.addSubscriptions(other, [{ topic: 'new', qos: 1 }])
    await eventually('the old ones are gone', async () => {
      // Whoever publishes to one that is no more looks around.
      await publish(there, aMessage({ topic: 't/9' }))
      return (await there.subscriptionsByTopic('t/9')).length === 0
    })
    expect(await there.subscriptionsByTopic('new')).toHaveLength(1)
  })

  test('what is changed while a replica loads is not missed', async () => {
    const [prefix, hub] = [freshPrefix(), new AnnouncerHub()]
    const here = await replica(prefix, hub)
    for (let index = 0; index < 50; index += 1) {
      await here.openSession({ id: `s/${index}` }, false, 60)
      await here.addSubscriptions({ id: `s/${index}` }, [{ topic: 'a', qos: 1 }])
    }
    const loading = replica(prefix, hub)
    for (let index = 50; index < 100; index += 1) {
      await here.openSession({ id: `s/${index}` }, false, 60)
      await here.addSubscriptions({ id: `s/${index}` }, [{ topic: 'a', qos: 1 }])
      if (index % 2 === 0) await here.endSession({ id: `s/${index - 50}` })
    }
    const there = await loading
    await eventually('all are known', async () => (await there.subscriptionsByTopic('a')).length === 75)
  })

  test('a session that was left on one is found on the other, with what is under way', async () => {
    const [prefix, hub] = [freshPrefix(), new AnnouncerHub()]
    const [here, there] = [await replica(prefix, hub), await replica(prefix, hub)]
    const { epoch } = await here.openSession(owner, false, 60)
    await here.addSubscriptions(owner, [{ topic: 'a', qos: 2 }])
    await here.incomingStore(owner, 5)
    const message = aMessage({ qos: 2 })
    await publish(there, message)
    await here.outgoingApply(owner, [{ kind: 'sent', name: messageName(message), messageId: 3 }])
    const opened = await there.openSession(owner, false, 60)
    // Told late by the connection that was taken over.
    await here.closeSession(owner, epoch, 0)
    expect(opened).toMatchObject({ isPresent: true, incoming: [5], sent: [{ messageId: 3 }] })
    expect(await there.openSession(owner, false, 60)).toMatchObject({ isPresent: true })
  })
})

describe('in Redis', () => {
  test('each operation is one command, however many sessions and filters it is about', async () => {
    const persistence = await replica(freshPrefix())
    for (let index = 0; index < 50; index += 1) {
      await persistence.openSession({ id: `s/${index}` }, false, 60)
      await persistence.addSubscriptions({ id: `s/${index}` }, [{ topic: 'a', qos: 1 }])
    }
    const message = aMessage()
    const subscriptions = await persistence.subscriptionsByTopic('a')
    expect(subscriptions).toHaveLength(50)
    const many = Array.from({ length: 100 }, (_, index) => ({ topic: `t/${index}`, qos: 1 as const }))
    const step = { kind: 'done', name: messageName(message), messageId: 1 } as const
    for (const work of [
      () => persistence.outgoingEnqueueCombi(subscriptions, message),
      () => persistence.outgoingPage({ id: 's/1' }, '', 100),
      () => persistence.outgoingApply({ id: 's/1' }, [step, step, step]),
      () => persistence.addSubscriptions({ id: 's/1' }, many),
      () =>
        persistence.removeSubscriptions(
          { id: 's/1' },
          many.map(({ topic }) => topic),
        ),
      () => persistence.openSession({ id: 's/1' }, false, 60),
      () => persistence.storeRetained(aMessage({ retain: true })),
      () => Array.fromAsync(persistence.createRetainedStreamCombi(['a'])),
      () => Array.fromAsync(persistence.createRetainedStreamCombi(['+/#'])),
    ]) {
      await work()
      expect(await roundTrips(work)).toBe(1)
    }
  })

  test('what one turn brings is one command, and so are the steps of all sessions in it', async () => {
    const persistence = await replica(freshPrefix())
    for (let index = 0; index < 20; index += 1) {
      await persistence.openSession({ id: `s/${index}` }, false, 60)
      await persistence.addSubscriptions({ id: `s/${index}` }, [{ topic: `a/${index % 5}`, qos: 1 }])
    }
    const messages = Array.from({ length: 100 }, (_, index) => aMessage({ topic: `a/${index % 5}` }))
    const enqueue = () => Promise.all(messages.map((message) => publish(persistence, message)))
    const acknowledge = () =>
      Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          persistence.outgoingApply(
            { id: `s/${index}` },
            messages.slice(10).map((message) => ({ kind: 'done', name: messageName(message), messageId: 1 })),
          ),
        ),
      )
    for (const work of [enqueue, acknowledge]) await work()
    expect(await roundTrips(enqueue)).toBe(1)
    // A thousand steps to a command.
    expect(await roundTrips(acknowledge)).toBe(2)
    expect(await queued(persistence, { id: 's/3' })).toEqual(
      messages.filter((_, index) => index < 10 && index % 5 === 3).map(messageName),
    )
  })

  test('a message for thousands of sessions is several commands, none of them long', async () => {
    const persistence = await replica(freshPrefix())
    const sessions = Array.from({ length: 5_000 }, (_, index) => ({ id: `s/${index}` }))
    for (let at = 0; at < sessions.length; at += 500) {
      const some = sessions.slice(at, at + 500)
      await Promise.all(some.map((session) => persistence.openSession(session, false, 60)))
    }
    const subscriptions = sessions.map(({ id }) => ({ clientId: id, topic: 'a', qos: 1 as const }))
    const message = aMessage()
    const enqueue = () => persistence.outgoingEnqueueCombi(subscriptions, message)
    await enqueue()
    expect(await roundTrips(enqueue)).toBe(3)
    for (const index of [0, 1_999, 2_000, 4_999]) {
      expect(await queued(persistence, { id: `s/${index}` })).toEqual([messageName(message)])
    }
  })

  test('nothing lasts that a message for a session that is gone has brought', async () => {
    const prefix = freshPrefix()
    const persistence = await replica(prefix)
    await persistence.outgoingEnqueueCombi([{ clientId: 'nobody', topic: 'a', qos: 1 }], aMessage())
    for (const key of await redis.keys(`${prefix}*`)) expect(await redis.pttl(key), key).toBeGreaterThan(0)
  })

  test('everything but what is retained has a time to live, also of a session whose replica died', async () => {
    const prefix = freshPrefix()
    const persistence = await replica(prefix)
    await persistence.openSession(owner, false, 60)
    await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    await persistence.incomingStore(owner, 1)
    const message = aMessage()
    await publish(persistence, message)
    await persistence.outgoingApply(owner, [{ kind: 'sent', name: messageName(message), messageId: 3 }])
    await persistence.storeRetained(aMessage({ retain: true, properties: expiryProperty(10) }))
    const keys = await redis.keys(`${prefix}*`)
    expect(keys.map((key) => key.slice(prefix.length)).sort()).toEqual(
      [
        ...['bodies', 'incoming', 'queue', 'sent', 'session'].map((part) => `${part}:${owner.id}`),
        'changes',
        'revision',
        'sequence',
        'session-ids',
        'sessions',
        'retained',
        'retained-expiry',
        'retained-index',
      ].sort(),
    )
    for (const key of keys.filter((each) => !each.includes('retained'))) {
      expect(await redis.pttl(key), key).toBeGreaterThan(60_000)
      expect(await redis.pttl(key), key).toBeLessThan(2 * 3_600_000)
    }
  })

  test('nothing is left of a session but the number of its last change', async () => {
    const prefix = freshPrefix()
    const persistence = await replica(prefix)
    const { epoch } = await persistence.openSession(owner, false, 60)
    await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    await persistence.incomingStore(owner, 1)
    await publish(persistence)
    await persistence.closeSession(owner, epoch, 0)
    const keys = (await redis.keys(`${prefix}*`)).map((key) => key.slice(prefix.length))
    expect(keys.sort()).toEqual(['changes', 'revision', 'sequence'])
  })

  test('keys and content of many organizations that work at once on one connection never mix', async () => {
    const names = Array.from(
      { length: 60 },
      (_, index) => `org${String(index).padStart(2, '0')}-${randomUUID()}`,
    )
    await Promise.all(
      names.map(async (name) => {
        const persistence = await replica(`mix:{${name}}:mq:`)
        const session = { id: `${name}/x` }
        const mark = (over: object = {}) =>
          aMessage({ brokerId: name, topic: `${name}/a`, payload: Buffer.from(name), ...over })
        await persistence.openSession(session, false, 60)
        for (let round = 0; round < 10; round += 1) {
          await persistence.addSubscriptions(session, [{ topic: `${name}/#`, qos: 1 }])
          await Promise.all([publish(persistence, mark()), persistence.storeRetained(mark({ retain: true }))])
          await persistence.incomingStore(session, round + 1)
          const found = await Array.fromAsync(persistence.createRetainedStreamCombi(['#']))
          expect(found.map(({ topic }) => topic)).toEqual([`${name}/a`])
          const [first] = (await persistence.outgoingPage(session, '', 100)).messages
          expect(first?.message?.payload.toString()).toBe(name)
          if (round % 3 === 0) {
            await persistence.outgoingApply(session, [
              { kind: 'sent', name: first?.name ?? '', messageId: 1 },
            ])
          }
        }
      }),
    )
    const keys = await redis.keys('*')
    const foreign = keys.filter((key) => !/^(cs|mix):\{[^{}]+\}:mq:/.test(key))
    expect(foreign).toEqual([])
    for (const key of keys.filter((each) => each.startsWith('mix:'))) {
      const own = /\{([^{}]+)\}/.exec(key)?.[1] ?? '?'
      const content = (await redis.dump(key)) ?? ''
      for (const name of names) if (name !== own) expect(`${key} ${content}`).not.toContain(name)
    }
  })

  test('sessions whose time is over are put away also when nobody publishes to them', async () => {
    const prefix = freshPrefix()
    const persistence = await replica(prefix)
    for (const each of [owner, other]) {
      const { epoch } = await persistence.openSession(each, false, 60)
      await persistence.addSubscriptions(each, [{ topic: each === owner ? 'a' : 'b', qos: 1 }])
      await persistence.closeSession(each, epoch, 0.02)
    }
    await pause(40)
    // A message for one of them makes the replica look for all.
    await publish(persistence, aMessage({ topic: 'a' }))
    await eventually('both are gone', async () => (await redis.zcard(`${prefix}sessions`)) === 0)
    expect(await persistence.subscriptionsByTopic('b')).toEqual([])
  })
})
