/** Two brokers as processes, each program as its own user of Redis: an organization goes, and a broker on the way. */
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { silentLog } from '#core/process/logger.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { isPurged } from '#core/stores/purge-marks.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { type TestClient, useClients } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId as org, anotherOrganizationId as other } from '../fixtures/records.ts'
import { type GuardedRedis, startGuardedRedis } from '../fixtures/redis-users.ts'
import { putOrganization } from '../fixtures/stored-users.ts'

const keys = redisKeys()
/** The shortest that a busy machine keeps to. */
const settings = { CLOUDSIGNAL_BROKER_MAX_STALENESS_SECONDS: '6' }

describe('an organization with 20,000 keys that is deleted', () => {
  let server: GuardedRedis
  let certificate: TestCertificate
  let redis: Redis
  let asOperator: Redis
  let operator: RedisIdentityStore
  let marks: RedisPurgeMarks
  let replicas: Replica[]
  const connectTo = useClients()

  beforeAll(async () => {
    ;[server, certificate] = await Promise.all([startGuardedRedis(), makeCertificate()])
    redis = connectRedis(server.url, 'test', silentLog)
    asOperator = connectRedis(server.urlOf('operator'), 'test', silentLog)
    for (const each of [redis, asOperator]) await untilReady(each, AbortSignal.timeout(10_000))
    operator = new RedisIdentityStore(asOperator, keys, new RedisControlLog(asOperator, keys))
    marks = new RedisPurgeMarks(asOperator, keys)
  })
  afterAll(async () => {
    for (const each of [redis, asOperator]) await closeRedis(each)
    await Promise.all([server.stop(), certificate.remove()])
  })
  beforeEach(async () => {
    await redis.flushall()
    for (const each of [org, other]) await create(each)
    await operator.markReady()
    replicas = await Promise.all(
      [0, 1].map(() => startReplica(server.urlOf('broker'), certificate, settings)),
    )
  })
  afterEach(async () => {
    await Promise.all(replicas.map(({ program }) => program.kill()))
  })

  const create = (organization: OrganizationId): Promise<void> =>
    putOrganization(operator, ['ada'], organization)
  async function remove(organization: OrganizationId): Promise<void> {
    await operator.remove('organization', organization, 'organization')
    await operator.remove('user', organization, 'ada')
  }
  const connect = (
    replica: Replica | undefined,
    organization: OrganizationId,
    clientId: string,
  ): Promise<TestClient> =>
    connectTo(`mqtts://127.0.0.1:${replica?.mqtts}`, 'ada', {
      organization,
      clientId,
      ca: certificate.cert,
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3_600 },
    })

  /** As many keys as of 5,000 sessions that wait; one is a real one. */
  async function fill(organization: OrganizationId): Promise<void> {
    const client = await connect(replicas[0], organization, 'waits')
    await client.mqtt.subscribeAsync('news/#', { qos: 1 })
    await client.end()
    const sender = await connect(replicas[1], organization, 'sender')
    await sender.mqtt.publishAsync('news/1', 'kept', { qos: 1, retain: true })
    await sender.end()
    const lua = `
      for at = ARGV[1], ARGV[1] + 999 do
        for _, part in ipairs({ 'session:', 'queue:', 'bodies:', 'sent:' }) do
          redis.call('HSET', KEYS[1] .. part .. 'user:ada/' .. at, 'a', 'b')
        end
        redis.call('ZADD', KEYS[1] .. 'sessions', 32503680000000, 'user:ada/' .. at)
        redis.call('ZADD', KEYS[1] .. 'session-ids', 0, 'user:ada/' .. at)
      end`
    for (let at = 1; at <= 5_000; at += 1_000) await redis.eval(lua, 1, keys.messaging(organization), at)
  }
  const isRemoved = async (): Promise<boolean> => {
    const tombstone = await operator.tombstoneOf(org)
    return tombstone !== undefined && isPurged(await marks.of(org), tombstone)
  }
  const untilPurged = (timeoutMs?: number): Promise<unknown> =>
    eventually('it is removed', isRemoved, timeoutMs)
  /** But who is connected, and what is told of that. */
  const kept = async (organization: OrganizationId): Promise<string[]> =>
    (await redis.keys(`${keys.own(organization)}*`))
      .toSorted()
      .filter((key) => !/:clients:|:audit:/.test(key))
  const left = async (): Promise<number> => (await redis.keys(`${keys.messaging(org)}*`)).length
  const purging = async (): Promise<Replica | undefined> => {
    const holder = await redis.get(keys.purger)
    return replicas.find(({ program }) => program.output().includes(`"replica":"${holder}"`))
  }

  test('leaves nothing, with its clients sent away first, without holding up Redis, and another one as it was', async () => {
    await Promise.all([fill(org), fill(other)])
    const [client, neighbour] = [
      await connect(replicas[1], org, 'here'),
      await connect(replicas[1], other, 'here'),
    ]
    const before = await kept(other)
    await redis.config('SET', 'slowlog-log-slower-than', 100_000)
    await redis.call('SLOWLOG', 'RESET')
    await remove(org)
    await eventually('its client is told', () => client.goodbyes.length === 1)
    await untilPurged()
    expect(await redis.call('SLOWLOG', 'GET')).toEqual([])
    expect(await left()).toBe(0)
    expect(neighbour.closed()).toBe(false)
    expect(await kept(other)).toEqual(before)
    const [line] = await Promise.all(
      replicas.map(({ program }) => /"keys":(\d+),"ms":(\d+),"state":"purged"/.exec(program.output())),
    ).then((found) => found.filter((each) => each !== null))
    expect(Number(line?.[1])).toBeGreaterThan(20_000)
  }, 60_000)

  test('is removed by the other broker where the one that does it dies in the middle', async () => {
    await fill(org)
    const all = await left()
    await remove(org)
    const doomed = await eventually('one does it', purging)
    await eventually('it has begun', async () => (await redis.dbsize()) < all - 500)
    await doomed.program.kill()
    expect(await left()).toBeGreaterThan(0)
    expect(await isRemoved()).toBe(false)
    await untilPurged(40_000)
    expect(await left()).toBe(0)
  }, 60_000)

  test('waits for a broker that hangs, which then does no harm to an organization of the same short id', async () => {
    await fill(org)
    const held = await connect(replicas[0], org, 'held')
    await remove(org)
    const first = await eventually('one does it', purging)
    const thaw = first.program.freeze()
    // Its lease ends, and it is not waited for any longer than it could serve anybody.
    await eventually(
      'another does it',
      async () => (await purging()) !== first && (await purging()) !== undefined,
      40_000,
    )
    expect(await isRemoved()).toBe(false)
    thaw()
    await untilPurged(40_000)
    await create(org)
    const anew = await connect(replicas[1], org, 'waits')
    expect(anew.sessionPresent).toBe(false)
    await anew.mqtt.publishAsync('news/2', 'new', { qos: 1, retain: true })
    const third = await eventually('the one that hung serves again', () =>
      connect(
        replicas.find((each) => each === first),
        org,
        'third',
      ).catch(() => undefined),
    )
    await third.mqtt.subscribeAsync('#', { qos: 1 })
    await eventually('what is new is retained, and nothing else', () => third.received.length > 0)
    expect(third.received.map(({ payload }) => payload)).toEqual(['new'])
    await held.end()
  }, 90_000)
})
