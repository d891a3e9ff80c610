/**
 * Broker replicas and token service as processes, on a Redis that is more than one: with Sentinels, and as a
 * Cluster. What is told in the story holds on both, and goes on when the master dies.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type Issuer, startIssuer } from '../fixtures/issuer.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { anApiKey, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import { startRedisCluster } from '../fixtures/redis-cluster.ts'
import { startRedisSentinels } from '../fixtures/redis-sentinel.ts'
import type { RedisServer } from '../fixtures/redis-server.ts'
import { startSteadyPublisher } from '../fixtures/steady-publisher.ts'
import { putOrganization } from '../fixtures/stored-users.ts'
import { aProviderOf, claimsOf } from '../token-service/app-under-test.ts'

const keys = redisKeys()

/** What is the same of both, for a test. */
interface Place {
  readonly url: string
  /** The server that this key is written to now. */
  masterOf(key: string): Promise<RedisServer>
  readonly replicas: readonly RedisServer[]
  /** Gives what lies with this key to another master. */
  move?(key: string): Promise<void>
  stop(): Promise<void>
}

const places: Readonly<Record<string, () => Promise<Place>>> = {
  async Sentinels() {
    const place = await startRedisSentinels({ password: 'p', sentinelPassword: 's' })
    return {
      url: place.url,
      masterOf: async () => ((await place.masterPort()) === place.master.port ? place.master : place.replica),
      replicas: [place.replica],
      stop: place.stop,
    }
  },
  async 'a Cluster'() {
    const place = await startRedisCluster({ password: 'p' })
    const move = async (key: string): Promise<void> => {
      const from = await place.serverOf(key)
      await place.moveSlot(key, place.masters.find((server) => server !== from) ?? from)
    }
    return { ...place, masterOf: place.serverOf, move }
  },
}

describe.each(Object.entries(places))('on %s', (name, startPlace) => {
  let place: Place
  let redis: RedisConnection
  let certificate: TestCertificate
  let issuer: Issuer
  let replicas: readonly [Replica, Replica]
  let tokenService: RunningProgram
  let serviceUrl: string
  /** On another node of the Cluster than the first one; its messages are acknowledged once they are replicated. */
  let otherOrganization: OrganizationId
  const secretKey = generateSecret('sk')
  const clients: TestClient[] = []

  beforeAll(async () => {
    ;[place, certificate, issuer] = await Promise.all([startPlace(), makeCertificate(), startIssuer()])
    redis = connectRedis(redisLocation(place.url), 'test', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
    otherOrganization = await organizationElsewhere(place)
    const store = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
    for (const organization of [anOrganizationId, otherOrganization]) {
      const durability = organization === otherOrganization ? 'replicated' : 'stored'
      await putOrganization(store, ['ada', 'bob', 'eve'], organization, { durability })
    }
    await store.put('provider', anOrganizationId, 'oidc', aProviderOf(issuer))
    const key = anApiKey('backend', secretKey, { scopes: ['exchange', 'revoke'] })
    await store.put('api-key', anOrganizationId, 'backend', key)
    await store.markReady()
    tokenService = startProgram('token-service', {
      CLOUDSIGNAL_REDIS_URL: place.url,
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
    })
    replicas = await Promise.all([startReplica(place.url, certificate), startReplica(place.url, certificate)])
    const { port, probes } = await tokenService.logged('the token service is listening')
    serviceUrl = `http://127.0.0.1:${String(port)}`
    await eventually('the token service is ready', () => isOk(`http://127.0.0.1:${String(probes)}/readyz`))
  })

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
  })

  afterAll(async () => {
    redis?.disconnect()
    await Promise.all([...(replicas ?? []).map(({ program }) => program.kill()), tokenService?.kill()])
    await Promise.all([place?.stop(), certificate?.remove(), issuer?.close()])
  })

  async function connect(
    index: 0 | 1,
    local: string,
    options: Parameters<typeof connectClient>[2] = {},
  ): Promise<TestClient> {
    const url = `mqtts://127.0.0.1:${replicas[index].mqtts}`
    const client = await connectClient(url, local, { ca: certificate.cert, protocolVersion: 5, ...options })
    clients.push(client)
    return client
  }

  const sessionOf = (clientId: string) => ({
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: 600 },
  })

  const isOk = async (url: string): Promise<boolean> => (await fetch(url)).status === 200
  const isReady = (index: 0 | 1): Promise<boolean> =>
    isOk(`http://127.0.0.1:${replicas[index].probes}/readyz`)

  /** Whoever comes first after a change is refused: by that a program learns of it. */
  const untilServed = (index: 0 | 1): Promise<unknown> =>
    eventually('clients are let in', () => connect(index, 'ada').catch(() => false), 3_000)

  /** Tried again while Redis changes: every program learns for itself where its keys are now. */
  const exchange = (): Promise<{ id: string; username: string; password: string }> =>
    eventually('a token is exchanged', async () => {
      const response = await fetch(`${serviceUrl}/v1/token/exchange`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secretKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          provider: 'oidc',
          token: await issuer.sign(claimsOf(issuer, Date.now())),
        }),
      })
      if (response.status === 503) return false
      expect(response.status).toBe(200)
      return (await response.json()) as { id: string; username: string; password: string }
    })

  /** While somebody publishes all the time; `change` resolves once the next master is there. */
  async function expectNothingLost(session: string, change: () => Promise<void>): Promise<void> {
    const away = await connect(1, 'bob', sessionOf(session))
    await away.mqtt.subscribeAsync('t/#', { qos: 1 })
    await away.mqtt.endAsync()
    const live = await connect(1, 'eve')
    await live.mqtt.subscribeAsync('t/#', { qos: 1 })
    const publisher = await startSteadyPublisher(() => connect(0, 'ada'))
    await eventually('messages flow', () => publisher.acknowledged.length >= 200)
    await change()
    const before = publisher.acknowledged.length
    await eventually('they flow again', () => publisher.acknowledged.length > before + 200, 3_000)
    await publisher.stop()
    for (const code of publisher.refusals) expect(code).toBe(0x88)
    const again = await connect(0, 'bob', sessionOf(session))
    expect(again.sessionPresent).toBe(true)
    for (const client of [live, again]) {
      const missing = (): string[] => {
        const topics = new Set(client.received.map(({ topic }) => topic))
        return publisher.acknowledged.filter((topic) => !topics.has(topic))
      }
      await eventually('all arrive', () => missing().length === 0).catch(() => {})
      expect([
        client === live ? 'live' : 'session',
        client.received.length,
        client.closed(),
        missing().length,
      ]).toEqual([client === live ? 'live' : 'session', client.received.length, false, 0])
      const numbers = client.received.map(({ topic }) => Number(topic.slice(2)))
      expect(numbers).toEqual(numbers.toSorted((left, right) => left - right))
    }
  }

  async function tellStory(): Promise<void> {
    const topic = `story/${randomUUID()}`
    const { id, username, password } = await exchange()
    const ada = await connect(0, 'ada')
    const temporary = await connect(1, '', { username, password })
    await ada.mqtt.publishAsync(`${topic}/kept`, 'kept', { qos: 1, retain: true })
    const bob = await connect(0, 'bob', sessionOf(topic))
    await bob.mqtt.subscribeAsync(`${topic}/#`, { qos: 1 })
    await eventually('the retained message', () => bob.received.length === 1)
    await bob.mqtt.endAsync()
    await ada.mqtt.publishAsync(`${topic}/1`, 'to the session', { qos: 1 })
    const again = await connect(1, 'bob', sessionOf(topic))
    expect(again.sessionPresent).toBe(true)
    await eventually('what waited', () => again.received.length === 1)
    await ada.mqtt.publishAsync(`${topic}/2`, 'across', { qos: 1 })
    await eventually('what came across', () => again.received.length === 2)
    expect([...bob.received, ...again.received].map(({ payload }) => payload)).toEqual([
      'kept',
      'to the session',
      'across',
    ])
    const revoke = { method: 'DELETE', headers: { authorization: `Bearer ${secretKey}` } }
    expect((await fetch(`${serviceUrl}/v1/tokens/${id}`, revoke)).status).toBe(204)
    await eventually('who was revoked is closed', () => temporary.closed(), 1_000)
    await expect(connect(0, '', { username, password })).rejects.toMatchObject({ code: 0x86 })
  }

  test(
    'the story holds: exchange, messages and sessions across replicas, retained messages, revocation',
    tellStory,
  )

  test('of a replicated organization a message is acknowledged only while a replica has it', async () => {
    const other = { organization: otherOrganization }
    const isAcknowledged = async (): Promise<boolean> => {
      const ada = await connect(0, 'ada', other)
      return new Promise((resolve) => {
        ada.mqtt.publish('kept', 'x', { qos: 1, retain: true }, (error) => resolve(!error))
        ada.mqtt.once('close', () => resolve(false))
      })
    }
    expect(await isAcknowledged()).toBe(true)
    for (const replica of place.replicas) replica.suspend()
    expect(await isAcknowledged()).toBe(false)
    for (const replica of place.replicas) replica.resume()
    await eventually('it is again', isAcknowledged)
  })

  test.runIf(name === 'a Cluster')(
    'nothing is lost either when an organization moves to another master',
    async () => {
      const key = `${keys.messaging(anOrganizationId)}sessions`
      const former = await place.masterOf(key)
      await expectNothingLost('moves along', async () => place.move?.(key))
      expect(await place.masterOf(key)).not.toBe(former)
      await tellStory()
      // Back again, as the other organizations lie where they did.
      await place.move?.(key)
      for (const index of [0, 1] as const) await untilServed(index)
    },
  )

  test('nothing that was acknowledged is lost when the master dies, nobody ends, and all goes on with the next', async () => {
    const key = `${keys.messaging(anOrganizationId)}sessions`
    await expectNothingLost('outlives a master', async () => {
      const master = await place.masterOf(key)
      const isOnly = (await place.masterOf(keys.control)) === master
      await master.kill()
      await expect(connect(0, 'bob')).rejects.toMatchObject({ code: 0x88 })
      if (isOnly) {
        for (const index of [0, 1] as const)
          await eventually('it is not ready', async () => !(await isReady(index)), 2_000)
      } else {
        const other = { organization: otherOrganization }
        const [here, there] = [await connect(0, 'ada', other), await connect(1, 'bob', other)]
        await there.mqtt.subscribeAsync('other', { qos: 1 })
        await here.mqtt.publishAsync('other', 'served', { qos: 1 })
        await eventually('others are served', () => there.received.length === 1)
        expect([await isReady(0), await isReady(1)]).toEqual([true, true])
      }
      await eventually('there is another master', async () => (await place.masterOf(key)) !== master, 20_000)
    })
    for (const index of [0, 1] as const) await eventually('it is ready', () => isReady(index), 3_000)
    await tellStory()
  })

  test.runIf(name === 'a Cluster')(
    'replicas are not ready while nobody has the control log, and ready again with its new master',
    async () => {
      const master = await place.masterOf(keys.control)
      await master.kill()
      for (const index of [0, 1] as const)
        await eventually('it is not ready', async () => !(await isReady(index)), 2_000)
      await eventually('there is another master', async () => (await place.masterOf(keys.control)) !== master)
      for (const index of [0, 1] as const) await eventually('it is ready', () => isReady(index), 3_000)
      await tellStory()
    },
  )

  test('every program ends in order', async () => {
    const programs = [tokenService, ...replicas.map(({ program }) => program)]
    expect(await Promise.all(programs.map((program) => program.terminate()))).toEqual([0, 0, 0])
    for (const program of programs) {
      expect(program.output()).not.toContain('caught by nobody')
      expect(program.output()).not.toContain('[ioredis]')
    }
  })
})

/** One whose records lie on another node than those of the first, where there are several. */
async function organizationElsewhere(place: Place): Promise<OrganizationId> {
  const master = await place.masterOf(`{${anOrganizationId}}`)
  for (const letter of 'abcdefgh') {
    const id: OrganizationId = `org_aaaabbbbccc${letter}`
    const found = await place.masterOf(`{${id}}`)
    if (found !== master && found !== (await place.masterOf(keys.control))) return id
  }
  return anotherOrganizationId
}
