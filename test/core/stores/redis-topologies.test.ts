/** The stores where Redis is more than one: a Cluster of three masters, and a replica that becomes the master. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import type { ControlEntry } from '#core/stores/control-log.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import { startRedisClock } from '#core/stores/redis-clock.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { describeAuditTrail } from '../../contracts/audit-trail.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { freshKeys } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId } from '../../fixtures/records.ts'
import { recordingControlLog } from '../../fixtures/recording-control-log.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { startRedisSentinels } from '../../fixtures/redis-sentinel.ts'

let place: RedisCluster
let cluster: RedisConnection

beforeAll(async () => {
  place = await startRedisCluster({ replicasEach: 0 })
  cluster = connectRedis(redisLocation(place.url), 'test', silentLog)
  await untilReady(cluster, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  cluster.disconnect()
  await place.stop()
})

describeControlLog('the control log on a Cluster', async () => {
  const keys = freshKeys()
  await cluster.zadd(keys.replicas, Date.now() + 60_000, 'r1')
  return new RedisControlLog(cluster, keys)
})

describeIdentityStore('the identity store on a Cluster', async () => {
  const { log, writer } = recordingControlLog()
  const keys = freshKeys()
  const barriers = new RedisCredentialStore(cluster, keys, writer)
  return { store: new RedisIdentityStore(cluster, keys, writer), log, barriers }
})

describeCredentialStore('the credential store on a Cluster', async () => {
  const { log, writer } = recordingControlLog()
  return { store: new RedisCredentialStore(cluster, freshKeys(), writer), log, pass: (ms) => pause(ms) }
})

describeAuditTrail('the audit trail on a Cluster', async (bounds) => {
  let ahead = 0
  const now = (): number => Date.now() + ahead + 0.25
  return {
    trail: new RedisAuditTrail(cluster, freshKeys(), bounds, now),
    now,
    pass: async (ms) => (ms < 1_000 ? pause(ms) : void (ahead += ms)),
  }
})

describeRateLimiter('the rate limiter on a Cluster', async () => ({
  limiter: new RedisRateLimiter(cluster, freshKeys()),
  pass: (ms) => pause(ms),
}))

describe('the clock of a Cluster', () => {
  test('is that of the node with the control log: without it Redis is not reachable, without another it is', async () => {
    const keys = freshKeys()
    const clock = startRedisClock(cluster, keys)
    await eventually('it is reachable', () => clock.reachable())
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(100)
    const node = await place.serverOf(keys.control)
    const other = place.masters.find((server) => server !== node)
    other?.suspend()
    await pause(1_800)
    expect(clock.reachable()).toBe(true)
    other?.resume()
    node.suspend()
    await eventually('it is not', () => !clock.reachable(), 2_000)
    for (let tenth = 0; tenth < 10; tenth += 1) {
      await pause(100)
      expect(clock.reachable()).toBe(false)
    }
    node.resume()
    await eventually('it is again', () => clock.reachable())
    clock.close()
  })
})

describe('when another Redis has become the master', () => {
  test('a follower of the control log hears at once what is told there, while the former one still answers', async () => {
    const place = await startRedisSentinels()
    const connection = connectRedis(place.url, 'test', silentLog)
    await untilReady(connection, AbortSignal.timeout(10_000))
    const log = new RedisControlLog(connection, redisKeys())
    const seen: string[] = []
    const subscription = await log.follow({ entry: ({ name }) => void seen.push(name), gap: () => {} })
    await place.handOver()
    const entry = { type: 'user', organization: anOrganizationId, name: 'ada' } as const
    await eventually('an entry is taken', () =>
      log.append(entry).then(
        () => true,
        () => false,
      ),
    )
    await eventually('it is heard', () => seen.includes('ada'), 1_000)
    await subscription.close()
    connection.disconnect()
    await place.stop()
  })

  test('a follower of the control log is told that something may be missing, also when nothing is', async () => {
    const place = await startRedisSentinels()
    const connection = connectRedis(place.url, 'test', silentLog)
    await untilReady(connection, AbortSignal.timeout(10_000))
    const log = new RedisControlLog(connection, redisKeys())
    const entry = (name: string): ControlEntry => ({ type: 'user', organization: anOrganizationId, name })
    const isTaken = (name: string): Promise<boolean> =>
      log.append(entry(name)).then(
        () => true,
        () => false,
      )
    await isTaken('first')
    const seen: string[] = []
    let gaps = 0
    const subscription = await log.follow({
      entry: ({ name }) => void seen.push(name),
      gap: () => void (gaps += 1),
    })
    await isTaken('before')
    await connection.wait(1, 1_000)
    await eventually('it is heard', () => seen.includes('before'))
    expect(gaps).toBe(0)
    await place.master.kill()
    // The Sentinels agree on a new master when they can, which a busy machine may delay.
    await eventually('it is told', () => gaps > 0, 30_000)
    await eventually('an entry is taken', () => isTaken('after'), 30_000)
    await eventually('it is heard', () => seen.includes('after'))
    expect([gaps, seen]).toEqual([1, ['before', 'after']])
    await subscription.close()
    connection.disconnect()
    await place.stop()
  }, 90_000)
})
