import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys, type RedisKeys } from '#core/stores/redis-keys.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { describeApiKeyUses } from '../../contracts/api-key-uses.ts'
import { describeAuditTrail } from '../../contracts/audit-trail.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeMarks } from '../../contracts/marks.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { type ConnectedRedis, freshKeys, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId, aUser } from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

let place: ConnectedRedis
let redis: Redis

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

afterAll(async () => {
  await place.stop()
})

const never = (): Promise<number> => new Promise(() => {})

async function withReplicas(...names: string[]): Promise<{ log: RedisControlLog; keys: RedisKeys }> {
  const keys = freshKeys()
  for (const name of names) await redis.zadd(keys.replicas, Date.now() + 60_000, name)
  return { log: new RedisControlLog(redis, keys), keys }
}

describeControlLog('the control log on Redis', async () => (await withReplicas('r1')).log)

describeApiKeyUses('uses of API keys on Redis', async () => new RedisApiKeyUses(redis, freshKeys()))

describeMarks('marks on Redis', async () => ({
  marks: new RedisMarks(redis, freshKeys()),
  pass: (seconds) => pause(seconds * 1_000),
}))

/** Short times go by, and long ones by the clock alone: what Redis itself forgets is looked at below. */
describeAuditTrail('the audit trail on Redis', async (bounds) => {
  let ahead = 0
  // As the clock of Redis: no whole ms.
  const now = (): number => Date.now() + ahead + 0.25
  return {
    trail: new RedisAuditTrail(redis, freshKeys(), bounds, now),
    now,
    pass: async (ms) => (ms < 1_000 ? pause(ms) : void (ahead += ms)),
  }
})

describeRateLimiter('the rate limiter on Redis', async () => ({
  limiter: new RedisRateLimiter(redis, freshKeys()),
  pass: (ms) => pause(ms),
}))

const org = anOrganizationId

describe('on Redis', () => {
  test('every bucket of a rate limit expires by itself', async () => {
    const prefix = randomUUID()
    const keys = redisKeys(prefix)
    const limiter = new RedisRateLimiter(redis, keys)
    for (const organization of [org, undefined]) {
      await limiter.take(organization, [{ name: 'key', of: 'a', perMinute: 120 }])
      const ttl = await redis.pttl(keys.rate(organization, 'key:a'))
      expect(ttl).toBeGreaterThan(0)
      expect(ttl).toBeLessThanOrEqual(501)
    }
    await eventually('they are gone', async () => (await redis.keys(`${prefix}:*`)).length === 0)
  })

  test('when a former password was used last is kept for a day longer than the password, and of each user alone', async () => {
    const keys = freshKeys()
    const marks = new RedisFormerPasswordMarks(redis, keys)
    const at = Date.now()
    expect(await marks.lastUse(anOrganizationId, 'ada')).toBeUndefined()
    await marks.mark(anOrganizationId, 'ada', at - 0.4, at + 60_000.7)
    expect(await marks.lastUse(anOrganizationId, 'ada')).toBe(at)
    expect(await marks.lastUse(anOrganizationId, 'bob')).toBeUndefined()
    const left = await redis.pttl(keys.formerPassword(anOrganizationId, 'ada'))
    expect(left).toBeGreaterThan(86_400_000 + 50_000)
    expect(left).toBeLessThan(86_400_000 + 61_000)
  })

  test('an audit trail ends by itself, and is trimmed to its hours where more comes', async () => {
    const keys = freshKeys()
    let ahead = 0
    const trail = new RedisAuditTrail(redis, keys, { events: 10, hours: 2 }, () => Date.now() + ahead)
    const event = { event: 'user.deleted', time: '2026-11-25T08:00:00.000Z', program: 'broker' } as const
    await trail.append(anOrganizationId, 'ending', [event])
    const key = keys.audit(anOrganizationId, 'ending')
    expect(await redis.ttl(key)).toBeGreaterThan(7_190)
    expect(await redis.ttl(key)).toBeLessThanOrEqual(7_200)
    ahead = 7_300_000
    await trail.append(anOrganizationId, 'ending', [event])
    // The clock of Redis itself did not move: both are older than the trail believes.
    expect(await redis.xlen(key)).toBe(0)
  })

  test('an audit trail shows what can be read of what is there', async () => {
    const keys = freshKeys()
    const trail = new RedisAuditTrail(redis, keys, { events: 10, hours: 2 }, Date.now)
    const event = { event: 'user.deleted', time: '2026-11-25T08:00:00.000Z', program: 'broker' } as const
    await trail.append(anOrganizationId, 'ending', [event])
    for (const text of ['{', '7', 'null', '{}']) {
      await redis.xadd(keys.audit(anOrganizationId, 'ending'), '*', 'e', text)
    }
    const { events } = await trail.read(anOrganizationId, { natures: ['ending'], limit: 10 })
    expect(events.map((each) => each.event)).toEqual([event])
  })

  test('what is noted of an API key ends by itself, after a month', async () => {
    const keys = freshKeys()
    await new RedisApiKeyUses(redis, keys).note(org, 'uid-1', Date.now())
    const ttl = await redis.pttl(keys.apiKeyUse(org, 'uid-1'))
    expect(Math.round(ttl / 86_400_000)).toBe(30)
  })

  test('an entry of the control log that can not be read counts as something missed', async () => {
    const keys = freshKeys()
    const log = new RedisControlLog(redis, keys)
    let gaps = 0
    const subscription = await log.follow({ entry: () => {}, gap: () => void (gaps += 1) })
    await redis.xadd(keys.control, '*', 'type', 'unheard-of', 'organization', org, 'name', 'x')
    await eventually('it is noticed', () => gaps === 1)
    await subscription.close()
  })

  describe('whether an entry is applied', () => {
    const doing = { entry: async () => 1, gap() {} }
    const entry = { type: 'organization', organization: org, name: 'organization' } as const

    test('names the replicas that live and have not said so', async () => {
      const { log } = await withReplicas('r1', 'r2', 'r3')
      const [one, two] = [await log.follow(doing, 'r1'), await log.follow({ entry: never, gap() {} }, 'r2')]
      const { ended, missing } = await log.applied([await log.append(entry)], 1_000)
      expect(ended).toBe(1)
      expect(missing.toSorted()).toEqual(['r2', 'r3'])
      // One that never answers is not waited for when it is closed either.
      await Promise.all([one, two].map((subscription) => subscription.close()))
    })

    test('names one whose lease has ended just now, and who may still have clients', async () => {
      const { log, keys } = await withReplicas()
      await redis.zadd(keys.replicas, Date.now() - 1_500, 'cut off')
      await redis.zadd(keys.goneReplicas, Date.now() - 1_500, 'taken for gone')
      const { missing } = await log.applied([await log.append(entry)], 100)
      expect(missing.toSorted()).toEqual(['cut off', 'taken for gone'])
    })

    test('does not ask replicas that are gone for long', async () => {
      const { log, keys } = await withReplicas('r1')
      await redis.zadd(keys.replicas, Date.now() - 62_000, 'gone')
      const subscription = await log.follow(doing, 'r1')
      expect(await log.applied([await log.append(entry)], 5_000)).toEqual({ ended: 1, missing: [] })
      await subscription.close()
    })

    test('counts a replica that began after it', async () => {
      const { log } = await withReplicas('r1')
      const position = await log.append(entry)
      const subscription = await log.follow(doing, 'r1')
      expect((await log.applied([position], 5_000)).missing).toEqual([])
      await subscription.close()
    })

    test('adds up what ended on all of them, and forgets it in a minute', async () => {
      const { log, keys } = await withReplicas('r1', 'r2')
      const both = [await log.follow(doing, 'r1'), await log.follow(doing, 'r2')]
      const position = await log.append(entry)
      expect(await log.applied([position], 5_000)).toEqual({ ended: 2, missing: [] })
      expect(await redis.ttl(keys.controlEnded(position))).toBeGreaterThan(0)
      for (const subscription of both) await subscription.close()
      // How far they came stays, for whoever comes when all are gone.
      expect(await redis.hkeys(keys.controlApplied)).toEqual(['-'])
    })
  })

  test('an organization keeps all its keys in one slot, under its own tag', async () => {
    const keys = redisKeys()
    const cluster = await startRedisServer('--cluster-enabled', 'yes')
    const node = connectRedis(cluster.url, 'test', silentLog)
    await untilReady(node, AbortSignal.timeout(10_000))
    const slots = await Promise.all(
      [
        keys.identity('user', org),
        keys.identityOutbox(org),
        keys.credential(org, 'tmp_1'),
        keys.credentialsOf(org, 'sub:{other}'),
        keys.messaging(org),
      ].map((key) => node.cluster('KEYSLOT', key)),
    )
    node.disconnect()
    await cluster.stop()
    expect(new Set(slots).size).toBe(1)
  })
})

describe('while Redis is away', () => {
  test('every call says so at once, a follower goes on afterwards and hears what it missed or that it missed something', async () => {
    const own = await startRedisServer('--appendonly', 'yes', '--appendfsync', 'always')
    const connection = connectRedis(own.url, 'test', silentLog)
    await untilReady(connection, AbortSignal.timeout(10_000))
    const keys = redisKeys()
    const log = new RedisControlLog(connection, keys)
    const store = new RedisIdentityStore(connection, keys, log)
    const seen: string[] = []
    let gaps = 0
    const subscription = await log.follow({
      entry: ({ name }) => void seen.push(name),
      gap: () => void (gaps += 1),
    })
    await store.put('user', anOrganizationId, 'before', aUser('before', 'secret'))
    await eventually('the first entry is heard', () => seen.includes('before'))

    await own.kill()
    await expect(store.get('user', anOrganizationId, 'before')).rejects.toMatchObject({
      code: 'store-unavailable',
    })
    await expect(store.isReady()).rejects.toMatchObject({ code: 'store-unavailable' })
    await eventually('the follower notices', () => subscription.staleness() > 500)

    await own.start()
    await untilReady(connection, AbortSignal.timeout(10_000))
    await store.put('user', anOrganizationId, 'after', aUser('after', 'secret'))
    await eventually('the entry after the cut is heard', () => seen.includes('after'))
    expect(gaps).toBe(0)

    await connection.flushall()
    await eventually('the follower says that the log was emptied', () => gaps === 1)
    await store.put('user', anOrganizationId, 'last', aUser('last', 'secret'))
    await eventually('the entry after that is heard', () => seen.includes('last'))
    await subscription.close()
    connection.disconnect()
    await own.stop()
  })
})
