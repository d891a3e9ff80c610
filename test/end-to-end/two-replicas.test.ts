import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { allow, connectClient, useClients, type TestClient } from '../fixtures/broker.ts'
import { brokerEnvironment, type Replica, startReplica } from '../fixtures/broker-process.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import type { TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { startProgram } from '../fixtures/program.ts'
import { aCredential, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { putOrganization, putUser } from '../fixtures/stored-users.ts'

const keys = redisKeys()
let place: BrokerReplicas
let server: RedisServer
let redis: Redis
let identities: RedisIdentityStore
let credentials: RedisCredentialStore
let certificate: TestCertificate
let replicas: Replica[]

beforeAll(async () => {
  place = await startBrokerReplicas()
  ;({ server, redis, identities, credentials, certificate, replicas } = place)
  for (const organization of [anOrganizationId, anotherOrganizationId]) {
    await putOrganization(identities, ['ada', 'bob'], organization)
  }
  await identities.markReady()
})

const connectTo = useClients()

afterAll(() => place?.stop())

type Options = NonNullable<Parameters<typeof connectClient>[2]>

async function connect(url: string, local: string, options: Options = {}): Promise<TestClient> {
  return connectTo(url, local, { ca: certificate.cert, ...options })
}

const tlsOf = (index: number): string => `mqtts://127.0.0.1:${replicas[index]?.mqtts}`
const wssOf = (index: number): string => `wss://127.0.0.1:${replicas[index]?.wss}/`

describe.each([
  ['3.1.1', 4],
  ['5', 5],
] as const)('between two replicas, with MQTT %s', (_name, protocolVersion) => {
  test('what is published on one reaches the other, over TLS and WSS, at every QoS, with its properties', async () => {
    const [ada, bob] = [
      await connect(tlsOf(0), 'ada', { protocolVersion }),
      await connect(wssOf(1), 'bob', { protocolVersion }),
    ]
    await bob.mqtt.subscribeAsync('news/#', { qos: 2 })
    let properties: { correlationData?: Buffer; userProperties?: object } | undefined
    bob.mqtt.on('message', (_topic, _payload, packet) => (properties = packet.properties))
    const sent = { correlationData: Buffer.from([0, 255, 7]), userProperties: { a: ['1', '2'] } }
    const extra = protocolVersion === 5 ? { properties: sent } : {}
    for (const qos of [0, 1, 2] as const) {
      await ada.mqtt.publishAsync('news/today', `qos ${qos}`, { qos, ...extra })
    }
    await eventually('all three arrive', () => bob.received.length >= 3)
    expect(bob.received.map(({ payload, qos }) => [payload, qos])).toEqual([
      ['qos 0', 0],
      ['qos 1', 1],
      ['qos 2', 2],
    ])
    if (protocolVersion === 5) {
      expect(properties?.correlationData?.equals(sent.correlationData)).toBe(true)
      expect(properties?.userProperties).toEqual(sent.userProperties)
    }
  })

  test('the same names, client ids and topics of another organization never meet these', async () => {
    const here = await connect(tlsOf(0), 'ada', { protocolVersion, clientId: 'same' })
    const there = await connect(tlsOf(1), 'ada', {
      protocolVersion,
      clientId: 'same',
      organization: anotherOrganizationId,
    })
    for (const client of [here, there]) await client.mqtt.subscribeAsync('#', { qos: 1 })
    await here.mqtt.publishAsync('t', 'here', { qos: 1 })
    await there.mqtt.publishAsync('t', 'there', { qos: 1 })
    await eventually('each has its own', () => here.received.length > 0 && there.received.length > 0)
    expect(here.received.map(({ payload }) => payload)).toEqual(['here'])
    expect(there.received.map(({ payload }) => payload)).toEqual(['there'])
    expect([here.closed(), there.closed()]).toEqual([false, false])
  })

  test('the same client id on the other replica takes the connection over', async () => {
    const first = await connect(tlsOf(0), 'ada', { protocolVersion, clientId: 'one' })
    const second = await connect(tlsOf(1), 'ada', { protocolVersion, clientId: 'one' })
    await eventually('the first is closed', () => first.closed())
    expect(second.closed()).toBe(false)
  })

  test('a session that was left on one replica goes on at the other', async () => {
    const session = {
      protocolVersion,
      clientId: 'device',
      clean: false,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    }
    const first = await connect(tlsOf(0), 'bob', session)
    await first.mqtt.subscribeAsync({ 'queue/#': { qos: 1 }, 'other/#': { qos: 1 } })
    await first.mqtt.endAsync()
    const ada = await connect(tlsOf(1), 'ada', { protocolVersion })
    for (const payload of ['1', '2', '3']) await ada.mqtt.publishAsync('queue/x', payload, { qos: 1 })
    const second = await connect(tlsOf(1), 'bob', session)
    expect(second.sessionPresent).toBe(true)
    await eventually('what waited arrives', () => second.received.length === 3)
    expect(second.received.map(({ payload }) => payload)).toEqual(['1', '2', '3'])
    await second.mqtt.unsubscribeAsync(['queue/#', 'other/#'])
  })

  test('a deleted user and an expired or revoked credential lose their connections on every replica', async () => {
    await putUser(identities, 'carol')
    const expiring = aCredential('tmp_expiring', 'tmp_expiring-password', {
      access: { ...emptyPolicy, rules: [allow(['subscribe'], '#')] },
    })
    const revoked = aCredential('tmp_revoked', 'tmp_revoked-password')
    await credentials.create(anOrganizationId, 'tmp_expiring', expiring, 2)
    await credentials.create(anOrganizationId, 'tmp_revoked', revoked, 60)
    const lost: TestClient[] = []
    for (const index of [0, 1]) {
      for (const name of ['carol', 'tmp_expiring', 'tmp_revoked']) {
        lost.push(await connect(tlsOf(index), name, { protocolVersion, clientId: `${name}-${index}` }))
      }
    }
    const kept = await connect(tlsOf(0), 'ada', { protocolVersion })
    await identities.remove('user', anOrganizationId, 'carol')
    await credentials.revoke(anOrganizationId, 'tmp_revoked')
    await eventually('all of them are closed', () => lost.every((client) => client.closed()))
    for (const name of ['carol', 'tmp_expiring', 'tmp_revoked']) {
      await expect(connect(wssOf(1), name, { protocolVersion })).rejects.toThrow()
    }
    expect(kept.closed()).toBe(false)
  })
})

describe('with mosquitto as the client', () => {
  const run = promisify(execFile)
  const common = (index: number, local: string): string[] => [
    '-h',
    'localhost',
    '-p',
    String(replicas[index]?.mqtts),
    '--cafile',
    certificate.certFile,
    '-u',
    `${local}@${anOrganizationId}`,
    '-P',
    `${local}-password`,
    '-q',
    '1',
  ]

  test.each(['mqttv311', 'mqttv5'])(
    'mosquitto_sub receives what mosquitto_pub publishes on the other replica (%s)',
    async (version) => {
      const subscriber = spawn('stdbuf', [
        // Into a pipe it would write only at its end.
        '-oL',
        'mosquitto_sub',
        ...common(0, 'bob'),
        '-V',
        version,
        '-t',
        'm/#',
        '-C',
        '1',
        '-W',
        '10',
        '-v',
        '-d',
      ])
      const ended = once(subscriber, 'exit')
      let output = ''
      subscriber.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
      await eventually('it is subscribed', () => output.includes('received SUBACK'))
      await run('mosquitto_pub', [...common(1, 'ada'), '-V', version, '-t', 'm/1', '-m', 'hello'])
      expect(await ended).toEqual([0, null])
      expect(output).toContain('m/1 hello')
    },
  )

  test('a wrong password is refused', async () => {
    const wrong = run('mosquitto_pub', [
      ...common(0, 'ada').map((part) => (part === 'ada-password' ? 'no' : part)),
      '-t',
      'm',
      '-m',
      'x',
    ])
    await expect(wrong).rejects.toMatchObject({ stderr: expect.stringContaining('user name or password') })
  })
})

describe('a replica as a process', () => {
  const probe = async (replica: Replica, path: string): Promise<{ status: number; body: string }> => {
    const response = await fetch(`http://127.0.0.1:${replica.probes}${path}`)
    return { status: response.status, body: await response.text() }
  }

  test('answers its probes, counts, and writes only JSON without a secret in it', async () => {
    const [replica] = replicas as [Replica]
    await connect(tlsOf(0), 'ada')
    expect(await probe(replica, '/healthz')).toEqual({ status: 200, body: 'ok\n' })
    expect(await probe(replica, '/readyz')).toEqual({ status: 200, body: 'ok\n' })
    expect((await probe(replica, '/metrics')).body).toMatch(
      /cloudsignal_broker_connections\{listener="mqtts"\} 1/,
    )
    expect((await probe(replica, '/nothing')).status).toBe(404)
    const lines = replica.program.output().trim().split('\n')
    expect(lines.every((line) => (JSON.parse(line) as { program: string }).program === 'broker')).toBe(true)
    // The audit has a reason of that name.
    const written = replica.program.output().replaceAll('"reason":"wrong-password"', '')
    expect(written).not.toMatch(/-password|PRIVATE KEY/)
  })

  test('tells its clients goodbye on SIGTERM, keeps the others, and exits with 0', async () => {
    const third = await startReplica(server.url, certificate)
    const client = await connect(`mqtts://127.0.0.1:${third.mqtts}`, 'ada', {
      protocolVersion: 5,
      clientId: 'x',
    })
    expect(await third.program.terminate()).toBe(0)
    expect(client.goodbyes).toEqual([0x8b])
    await connect(tlsOf(0), 'ada')
  })

  test('waits for a Redis that is not there, not ready and saying so, and serves once it is', async () => {
    const own = await startRedisServer()
    await own.kill()
    const starting = startProgram('broker', brokerEnvironment(own.url, certificate))
    const { port } = (await starting.logged('waiting for Redis')) as { port: number }
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('redis: not reachable')])
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    await own.start()
    await starting.logged('the broker is ready')
    await eventually(
      'it is ready',
      async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200,
    )
    await own.kill()
    await eventually(
      'it is not ready',
      async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 503,
    )
    const late = (await starting.logged('the broker is ready')) as { mqtts: number }
    const refused = connect(`mqtts://127.0.0.1:${late.mqtts}`, 'ada', { protocolVersion: 5 })
    await expect(refused).rejects.toMatchObject({ code: 0x88 })
    expect(await starting.terminate()).toBe(0)
    await own.stop()
  })

  test('acknowledges nothing that Redis did not take', async () => {
    const own = await startRedisServer()
    const store = connectRedis(own.url, 'test', silentLog)
    await untilReady(store, AbortSignal.timeout(10_000))
    const writer = new RedisIdentityStore(store, keys, new RedisControlLog(store, keys))
    await putOrganization(writer, ['ada'])
    const replica = await startReplica(own.url, certificate)
    const client = await connect(`mqtts://127.0.0.1:${replica.mqtts}`, 'ada', { protocolVersion: 5 })
    await client.mqtt.publishAsync('a', 'kept', { qos: 1 })
    await own.kill()
    let isAcknowledged = false
    client.mqtt.publish('a', 'lost', { qos: 1, retain: true }, (error) => (isAcknowledged = !error))
    await eventually('the client is sent away', () => client.closed())
    expect(isAcknowledged).toBe(false)
    expect(client.goodbyes).toEqual([0x89])
    expect((await probe(replica, '/healthz')).status).toBe(200)
    await own.start()
    await untilReady(store, AbortSignal.timeout(10_000))
    await putOrganization(writer, ['ada'])
    await eventually('clients are served again', () =>
      connect(`mqtts://127.0.0.1:${replica.mqtts}`, 'ada').then(
        () => true,
        () => false,
      ),
    )
    await replica.program.kill()
    store.disconnect()
    await own.stop()
  })

  test('keeps every key of its own under the organization it serves', async () => {
    const all = await redis.keys('*')
    const foreign = all.filter((key) => !/^cs:\{(org_[a-z2-7]{12}|all)\}:((id|tmp|mq):|control$)/.test(key))
    expect(foreign).toEqual([])
  })
})
