/** What is left in Redis of an organization that is gone: nothing, or what its deletionPolicy keeps. */
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { defaultTrailBounds, type KeptEvent } from '#core/stores/audit-trail.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { isPurged } from '#core/stores/purge-marks.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { everything, type TestBroker, type TestClient, useClients } from '../../fixtures/broker.ts'
import { startBrokerOnRedis } from '../../fixtures/broker-on-redis.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { dumpOf, tracesOf, untilNoTrace } from '../../fixtures/redis-traces.ts'
import {
  aCredential,
  anOrganizationId as org,
  anotherOrganizationId as other,
} from '../../fixtures/records.ts'
import { putOrganization } from '../../fixtures/stored-users.ts'

const keys = redisKeys()
let place: ConnectedRedis
let redis: Redis
let identities: RedisIdentityStore
let credentials: RedisCredentialStore
let marks: RedisPurgeMarks
let broker: TestBroker
const connectTo = useClients()

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
  const log = new RedisControlLog(redis, keys)
  identities = new RedisIdentityStore(redis, keys, log)
  credentials = new RedisCredentialStore(redis, keys, log)
  marks = new RedisPurgeMarks(redis, keys)
})
beforeEach(async () => {
  await redis.flushall()
  for (const each of [org, other]) await create(each)
  await identities.markReady()
  broker = await startBrokerOnRedis(redis, { purgeSettleMs: 100 })
})
afterEach(() => broker.stop())
afterAll(() => place.stop())

const access = { ...emptyPolicy, rules: [...everything] }

const create = (organization: OrganizationId, over: Partial<OrganizationRecord> = {}): Promise<void> =>
  putOrganization(identities, ['ada', 'bob'], organization, over)

/** As the operator does it: its own record first. */
async function remove(organization: OrganizationId): Promise<void> {
  await identities.remove('organization', organization, 'organization')
  for (const local of ['ada', 'bob']) await identities.remove('user', organization, local)
}

const connect = (organization: OrganizationId, local: string, over: object = {}): Promise<TestClient> =>
  connectTo(`mqtt://127.0.0.1:${broker.port}`, local, {
    organization,
    protocolVersion: 5,
    clean: false,
    clientId: 'device',
    properties: { sessionExpiryInterval: 3_600 },
    ...over,
  })

/** Something of each kind that programs keep of an organization. */
async function fill(organization: OrganizationId): Promise<void> {
  const away = await connect(organization, 'ada')
  await away.mqtt.subscribeAsync(['chat/#', '$share/all/work'], { qos: 1 })
  await away.end()
  const sender = await connect(organization, 'bob', {
    clientId: 'sender',
    will: {
      topic: 'last',
      payload: Buffer.from('will'),
      qos: 1,
      retain: false,
      properties: { willDelayInterval: 900 },
    },
  })
  await sender.mqtt.publishAsync('chat/1', 'kept', { qos: 1, retain: true })
  await sender.mqtt.publishAsync('work', 'for somebody', { qos: 1 })
  sender.mqtt.stream.destroy()
  const record = aCredential('tmp_1', 'tmp_1-password', { access }, organization)
  await credentials.create(organization, 'tmp_1', record, 600, { perMinute: 1 })
  await credentials.raiseBarrier(organization, 'principal:sub:eve')
  const trail = new RedisAuditTrail(redis, keys, defaultTrailBounds, Date.now)
  const event = { event: 'client.connected', organization, time: new Date().toISOString(), program: 'broker' }
  await trail.append(organization, 'routine', [event as KeptEvent])
  await new RedisMarks(redis, keys).put(organization, 'webhook:1', 600)
  await new RedisFormerPasswordMarks(redis, keys).mark(organization, 'ada', Date.now(), Date.now() + 60_000)
  await eventually(
    'the will waits',
    async () => (await redis.zscore(keys.willSchedule, organization)) !== null,
  )
}

const untilPurged = (
  organization: OrganizationId,
  state: 'purged' | 'settled' = 'purged',
): Promise<unknown> =>
  eventually(`it is ${state}`, async () => {
    const [mark, tombstone] = [await marks.of(organization), await identities.tombstoneOf(organization)]
    if (tombstone === undefined || !isPurged(mark, tombstone)) return false
    return state === 'purged' || mark?.state === state
  })

/** As the operator does when it looks after its records. */
async function forgetGone(): Promise<void> {
  for (const tombstone of await identities.tombstones()) await identities.forget(tombstone)
}

describe('an organization that is deleted', () => {
  test('leaves nothing in Redis, and of another nothing changes', async () => {
    await Promise.all([fill(org), fill(other)])
    await broker.stop()
    broker = await startBrokerOnRedis(redis, { purgeSettleMs: 100 })
    const before = await dumpOf(redis, other)
    expect((await tracesOf(redis, org)).length).toBeGreaterThan(20)
    await remove(org)
    await untilPurged(org, 'settled')
    await forgetGone()
    await untilNoTrace(redis, [org], 15_000)
    expect(await dumpOf(redis, other)).toEqual(before)
    expect((await tracesOf(redis, other)).length).toBeGreaterThan(20)
  })

  test('has its clients sent away with a reason before', async () => {
    const client = await connect(org, 'ada')
    await remove(org)
    await eventually('it is told', () => client.goodbyes.length === 1)
    expect(client.goodbyes[0]).toBeGreaterThanOrEqual(0x80)
    await untilPurged(org)
    await expect(connect(org, 'ada')).rejects.toMatchObject({ code: expect.any(Number) })
  })

  test('leaves nothing to one of the same short id, whose own then stays', async () => {
    await fill(org)
    await remove(org)
    await untilPurged(org)
    await create(org)
    const ada = await connect(org, 'ada')
    expect(ada.sessionPresent).toBe(false)
    await ada.mqtt.subscribeAsync('chat/#', { qos: 1 })
    const late = await connect(org, 'bob', { clientId: 'late' })
    await late.mqtt.subscribeAsync('#', { qos: 1 })
    await ada.mqtt.publishAsync('chat/2', 'new', { qos: 1, retain: true })
    await eventually('both have it', () => ada.received.length === 1 && late.received.length === 1)
    expect([...ada.received, ...late.received].map(({ payload }) => payload)).toEqual(['new', 'new'])
    await eventually('the mark is forgotten', async () => (await marks.of(org)) === undefined, 15_000)
    const third = await connect(org, 'bob', { clientId: 'third' })
    await third.mqtt.subscribeAsync('chat/#', { qos: 1 })
    await eventually('it is still retained', () => third.received.length === 1)
    expect(await credentials.get(org, 'tmp_1')).toBeUndefined()
  })

  test('that retains keeps sessions, messages and barriers for one of the same short id, and no credential', async () => {
    await create(org, { retain: true })
    await fill(org)
    await remove(org)
    await untilPurged(org, 'settled')
    expect(await credentials.get(org, 'tmp_1')).toBeUndefined()
    expect((await redis.keys(`${keys.own(org)}tmp:*`)).filter((key) => /tmp:(tmp_|of:)/.test(key))).toEqual(
      [],
    )
    expect(await credentials.barrierOf(org, ['principal:sub:eve'])).toBeGreaterThan(0)
    expect(await redis.exists(keys.audit(org, 'routine'))).toBe(1)
    await create(org, { retain: true })
    const ada = await connect(org, 'ada')
    expect(ada.sessionPresent).toBe(true)
    await eventually('what waited comes', () => ada.received.length === 2)
    const late = await connect(org, 'bob', { clientId: 'late' })
    await late.mqtt.subscribeAsync('chat/#')
    await eventually('what was retained comes', () => late.received.length === 1)
  })

  test('is found by a broker that did not run then, however short the control log is', async () => {
    await fill(org)
    await broker.stop()
    await remove(org)
    await redis.xtrim(keys.control, 'MAXLEN', 0)
    expect(Object.keys(await dumpOf(redis, org)).length).toBeGreaterThan(10)
    broker = await startBrokerOnRedis(redis, { purgeSettleMs: 100 })
    await untilPurged(org)
    expect(Object.keys(await dumpOf(redis, org)).filter((key) => !key.includes(':id:'))).toEqual([])
  })

  test('gets no credential any more from a token service that has not heard of it', async () => {
    await remove(org)
    const record = aCredential('tmp_2', 'tmp_2-password', { access })
    await expect(credentials.create(org, 'tmp_2', record, 600)).rejects.toMatchObject({
      code: 'store-unavailable',
    })
    expect(await redis.exists(keys.credential(org, 'tmp_2'))).toBe(0)
    await credentials.create(other, 'tmp_2', aCredential('tmp_2', 'x', { access }, other), 600)
  })
})
