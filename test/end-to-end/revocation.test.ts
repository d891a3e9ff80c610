import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import type { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { useClients, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import { eventually } from '../fixtures/eventually.ts'
import { aCredential, anOrganization, anOrganizationId as org, aUser } from '../fixtures/records.ts'
import { type SeverableWay, startSeverableWay } from '../fixtures/severable-way.ts'

const keys = redisKeys()
const access = { ...emptyPolicy, rules: [...everything] }
let place: BrokerReplicas
let redis: Redis
let log: RedisControlLog
let credentials: RedisCredentialStore
/** Whose way to Redis can be cut. */
let remote: Replica
let way: SeverableWay

beforeAll(async () => {
  place = await startBrokerReplicas()
  ;({ redis, credentials } = place)
  log = new RedisControlLog(redis, keys)
  await place.identities.put('organization', org, 'organization', anOrganization())
  await place.identities.put('user', org, 'ada', aUser('ada', 'ada-password', { access }))
  await place.identities.markReady()
  way = await startSeverableWay(place.server.port)
})

const connectTo = useClients()

afterAll(async () => {
  way.stop()
  await place.stop()
})

async function connect(replica: number | Replica, local: string): Promise<TestClient> {
  const { mqtts } = typeof replica === 'number' ? place.replicas[replica]! : replica
  const options = { ca: place.certificate.cert, clientId: randomUUID() }
  return connectTo(`mqtts://127.0.0.1:${mqtts}`, local, options)
}

/** A credential of its own; resolves with its name. */
async function issued(provider: string): Promise<string> {
  const local = `tmp_${randomUUID().slice(0, 8)}`
  const record = aCredential(local, `${local}-password`, { access, provider })
  await credentials.create(org, local, record, 60)
  return local
}

describe('a revocation', () => {
  test.each<[string, BarrierTarget]>([
    ['of a provider', 'provider:clerk'],
    ['of a person', 'principal:sub:somebody'],
    ['of the organization', 'organization'],
  ])('%s is confirmed by every replica once nobody is there any more', async (_what, target) => {
    const local = await issued('clerk')
    const ended = [await connect(0, local), await connect(1, local), await connect(1, local)]
    const [ada, sender] = [await connect(0, 'ada'), await connect(1, 'ada')]
    for (const client of ended) await client.mqtt.subscribeAsync('news')
    let sent = 0
    const sending = setInterval(() => void sender.mqtt.publishAsync('news', String((sent += 1))), 5)
    await eventually('messages flow', () => ended.every((client) => client.received.length > 5))
    const { position } = await credentials.raiseBarrier(org, target)
    expect(await log.applied([position], 5_000)).toEqual({ ended: 3, missing: [] })
    const confirmedAt = sent
    await eventually('the connections are closed', () => ended.every((client) => client.closed()))
    clearInterval(sending)
    for (const { received } of ended)
      expect(Number(received.at(-1)?.payload)).toBeLessThanOrEqual(confirmedAt)
    expect([ada.closed(), sender.closed()]).toEqual([false, false])
    await expect(connect(0, local)).rejects.toThrow()
    await expect(connect(1, local)).rejects.toThrow()
  })

  test('names the replica that does not confirm it, which carries it out once it can', async () => {
    const local = await issued('clerk')
    const [here, there] = [await connect(0, local), await connect(1, local)]
    const names = await redis.zrange(keys.replicas, 0, -1)
    const thaw = place.replicas[1]!.program.freeze()
    const { positions } = await credentials.revoke(org, local)
    const { ended, missing } = await log.applied(positions, 500)
    expect([ended, missing.length, names.includes(missing[0] ?? '')]).toEqual([1, 1, true])
    await eventually('the one is closed', () => here.closed())
    expect(there.closed()).toBe(false)
    thaw()
    expect(await log.applied(positions, 5_000)).toEqual({ ended: 2, missing: [] })
    await eventually('the other is closed', () => there.closed())
  })

  test('of nobody who is there is confirmed all the same', async () => {
    const { positions } = await credentials.revoke(org, 'tmp_unknown')
    expect(await log.applied(positions, 5_000)).toEqual({ ended: 0, missing: [] })
  })

  describe('while a replica is cut off from Redis', () => {
    beforeAll(async () => {
      remote = await startReplica(way.url, place.certificate)
    })
    afterAll(() => remote.program.kill())
    afterEach(() => way.mend())

    test.each<[string, () => Promise<unknown>]>([
      ['is carried out there once it reaches Redis again', async () => {}],
      ['is so also where the log was trimmed past it', () => redis.xtrim(keys.control, 'MAXLEN', 0)],
    ])('%s', async (_what, meanwhile) => {
      const [gone, kept] = [await issued('clerk'), await issued('clerk')]
      const [here, there] = [await connect(0, gone), await connect(remote, gone)]
      const bystanders = [await connect(remote, kept), await connect(remote, 'ada')]
      way.cut()
      const { positions } = await credentials.revoke(org, gone)
      const { ended, missing } = await log.applied(positions, 500)
      expect([ended, missing.length]).toEqual([1, 1])
      await eventually('the one is closed', () => here.closed())
      await meanwhile()
      way.mend()
      await eventually('the other is closed', () => there.closed())
      expect((await log.applied(positions, 5_000)).missing).toEqual([])
      expect(bystanders.map((client) => client.closed())).toEqual([false, false])
    })
  })
})
