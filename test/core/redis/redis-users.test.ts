import { setTimeout as pause } from 'node:timers/promises'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeApiKeyUses } from '../../contracts/api-key-uses.ts'
import { clientRegistryContract } from '../../contracts/client-registry.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { describeGroupPersistence } from '../../contracts/groups.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { describeMarks } from '../../contracts/marks.ts'
import { describePurgeMarks } from '../../contracts/purge-marks.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { type GuardedRedis, type RedisUser, startGuardedRedis } from '../../fixtures/redis-users.ts'

/** The contracts of the stores, each over the user that the program has which uses it. */
const keys = redisKeys()
let server: GuardedRedis
let admin: RedisConnection
const users = new Map<RedisUser, RedisConnection>()
const as = (user: RedisUser): RedisConnection => users.get(user) as RedisConnection

beforeAll(async () => {
  server = await startGuardedRedis()
  admin = connectRedis(server.url, 'test', silentLog)
  for (const user of ['operator', 'token-service', 'broker'] as const) {
    users.set(user, connectRedis(server.urlOf(user), 'test', silentLog))
  }
  for (const each of [admin, ...users.values()]) await untilReady(each, AbortSignal.timeout(10_000))
})
afterAll(async () => {
  for (const each of [admin, ...users.values()]) each?.disconnect()
  await server?.stop()
})

const empty = async (): Promise<void> => void (await admin.flushall())

describeIdentityStore('the identity store, as the operator', async () => {
  await empty()
  const log: Parameters<RedisControlLog['append']>[0][] = []
  const writer = { append: async (entry: (typeof log)[number]) => String(log.push(entry)) }
  const barriers = new RedisCredentialStore(as('broker'), keys, writer)
  return { store: new RedisIdentityStore(as('operator'), keys, writer), log, barriers }
})

describeCredentialStore('the credential store, as the token service', async () => {
  await empty()
  const log: Parameters<RedisControlLog['append']>[0][] = []
  const writer = { append: async (entry: (typeof log)[number]) => String(log.push(entry)) }
  return { store: new RedisCredentialStore(as('token-service'), keys, writer), log, pass: (ms) => pause(ms) }
})

describeRateLimiter('the rate limiter, as the token service', async () => {
  await empty()
  return { limiter: new RedisRateLimiter(as('token-service'), keys), pass: (ms) => pause(ms) }
})

describeMarks('marks, as the token service', async () => {
  await empty()
  return { marks: new RedisMarks(as('token-service'), keys), pass: (seconds) => pause(seconds * 1_000) }
})

describeApiKeyUses('uses of API keys, as the token service', async () => {
  await empty()
  return new RedisApiKeyUses(as('token-service'), keys)
})

describePurgeMarks('marks of purges, as the broker', async () => {
  await empty()
  return new RedisPurgeMarks(as('broker'), keys)
})

test('marks of purges, and whether a broker lives, are read as the operator', async () => {
  await empty()
  const marks = new RedisPurgeMarks(as('operator'), keys)
  const tombstone = { organization: anOrganizationId, id: '1', at: 0, retains: false }
  await new RedisPurgeMarks(as('broker'), keys).mark(tombstone, 'purged', 5)
  expect(await marks.of(anOrganizationId)).toEqual({ tombstone: '1', state: 'purged', at: 5 })
  expect((await marks.all()).size).toBe(1)
  expect(await marks.hasBroker()).toBe(false)
  await admin.zadd(keys.replicas, Date.now() + 60_000, 'r1')
  expect(await marks.hasBroker()).toBe(true)
  await admin.zadd(keys.replicas, Date.now() - 60_000, 'r1')
  expect(await marks.hasBroker()).toBe(false)
  await expect(marks.mark(tombstone, 'settled', 6)).rejects.toMatchObject({ code: 'store-unavailable' })
})

test('the lease of who purges is one replica’s, until that gives it back or its time is over', async () => {
  await empty()
  const marks = new RedisPurgeMarks(as('broker'), keys)
  expect(await marks.lease('r1', 60_000)).toBe(true)
  expect(await marks.lease('r1', 60_000)).toBe(true)
  expect(await marks.lease('r2', 60_000)).toBe(false)
  await marks.release('r2')
  expect(await marks.lease('r2', 60_000)).toBe(false)
  await marks.release('r1')
  expect(await marks.lease('r2', 1)).toBe(true)
  await pause(20)
  expect(await marks.lease('r1', 60_000)).toBe(true)
})

describeControlLog('the control log, as the broker', async () => {
  await empty()
  await admin.zadd(keys.replicas, Date.now() + 60_000, 'r1')
  return new RedisControlLog(as('broker'), keys)
})

const persistence = async (announcer = new AnnouncerHub().join()): Promise<RedisPersistence> => {
  const opened = new RedisPersistence(as('broker'), `cs:{${randomUUID()}}:mq:`)
  await opened.setup(announcer)
  return opened
}
describeSessionPersistence('sessions, as the broker', persistence)
describeRetainedMessages('retained messages, as the broker', persistence)
describeGroupPersistence('groups, as the broker', persistence)

describe('the client registry, as the broker', () => {
  clientRegistryContract(async () => {
    await empty()
    return {
      here: new RedisClientRegistry(as('broker'), keys, 'r1'),
      there: new RedisClientRegistry(as('broker'), keys, 'r2'),
      async advance(ms) {
        const sets = [anOrganizationId, anotherOrganizationId].map(
          (one) => `${keys.messaging(one)}clients:due`,
        )
        for (const key of [...sets, keys.willSchedule]) {
          for (const member of await admin.zrange(key, 0, -1)) await admin.zincrby(key, -ms, member)
        }
      },
    }
  })
})

describe('a user of Redis', () => {
  const [id, tmp, mq] = [
    keys.identity('user', anOrganizationId),
    keys.credential(anOrganizationId, 'tmp_1'),
    `${keys.messaging(anOrganizationId)}retained`,
  ]
  const programs: readonly RedisUser[] = ['operator', 'token-service', 'broker']
  const everywhere: readonly (readonly [string, ...string[]])[] = [
    ['flushall'],
    ['keys', '*'],
    ['config', 'get', '*'],
    ['acl', 'list'],
    ['shutdown'],
    ['script', 'flush'],
    ['get', 'elsewhere'],
    ['set', 'elsewhere', 'x'],
    ['eval', "return redis.call('SET', 'elsewhere', 'x')", '0'],
  ]
  type Forbidden = readonly [RedisUser, string, ...string[]]
  const forbidden: readonly Forbidden[] = [
    ['operator', 'set', tmp, 'x'],
    ['operator', 'hset', mq, 'a', 'b'],
    ['operator', 'get', tmp],
    ['operator', 'zadd', keys.credentialsOf(anOrganizationId, 'exchange'), '1', 'x'],
    ['operator', 'hset', keys.purges, 'a', 'b'],
    ['operator', 'scan', '0'],
    ['token-service', 'scan', '0'],
    ['operator', 'publish', `cs:{${anOrganizationId}}:mq:bus`, 'x'],
    ['token-service', 'hset', id, 'ada', '{}'],
    ['token-service', 'hset', mq, 'a', 'b'],
    ['token-service', 'publish', `cs:{${anOrganizationId}}:mq:bus`, 'x'],
    ['broker', 'hset', id, 'ada', '{}'],
    ['broker', 'del', id],
    ['broker', 'subscribe', 'another'],
    ...programs.flatMap((user) => everywhere.map((command): Forbidden => [user, ...command])),
    ['operator', 'eval', `return redis.call('SET', '${tmp}', 'x')`, '0'],
    ['token-service', 'eval', `return redis.call('HSET', '${id}', 'ada', 'x')`, '0'],
    ['broker', 'eval', `return redis.call('HSET', '${id}', 'ada', 'x')`, '0'],
  ]

  test.each(forbidden.map(([user, ...command]) => ({ user, command })))(
    '$user may not $command',
    async ({ user, command: [name = '', ...parameters] }) => {
      await expect(as(user).call(name, ...parameters)).rejects.toThrow(/NOPERM|can't (access|run)/i)
    },
  )
})
