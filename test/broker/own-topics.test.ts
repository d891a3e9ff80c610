import type { IPublishPacket } from 'mqtt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  connectClient,
  useClients,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { deafControlLog } from '../fixtures/deaf-control-log.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId as org } from '../fixtures/records.ts'

const expiring = '$cloudsignal/credential/expiring'
const refresh = '$cloudsignal/credential/refresh'
const refreshed = '$cloudsignal/credential/refreshed'
const lives = { defaultTtl: 600, maxTtl: 600, maxLifetime: 3_600 }

let broker: TestBroker

beforeEach(async () => {
  broker = await startTestBroker()
  await broker.addOrganization({ credentials: lives })
  await broker.addUser('ada', everything)
})

afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(
  local: string,
  options: Parameters<typeof connectClient>[2] = {},
  port = broker.port,
): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${port}`, local, { protocolVersion: 5, ...options })
}

/** A credential without a single rule, and a client of it. */
async function temporary(
  local: string,
  ttlSeconds: number,
  options: Parameters<typeof connectClient>[2] = {},
): Promise<TestClient> {
  await broker.addCredential(local, [], ttlSeconds, { principal: `sub:${local}` })
  return connect(local, options)
}

const topics = ({ received }: TestClient): string[] => received.map(({ topic }) => topic)
const bodies = ({ received }: TestClient): Record<string, unknown>[] =>
  received.map(({ payload }) => JSON.parse(payload) as Record<string, unknown>)
/** The granted QoS, or why it was refused. */
const granted = (client: TestClient, filter: string): Promise<unknown> =>
  client.mqtt.subscribeAsync(filter, { qos: 1 }).then(
    ([grant]) => grant?.qos,
    (error: { packet?: { granted: number[] } }) => error.packet?.granted[0],
  )

/** The answer, as it came. */
async function ask(
  client: TestClient,
  payload = '',
  properties: NonNullable<IPublishPacket['properties']> = {},
): Promise<{
  readonly topic: string
  readonly body: Record<string, unknown>
  readonly packet: IPublishPacket
}> {
  const answered = new Promise<IPublishPacket>((resolve) => {
    client.mqtt.once('message', (_topic, _payload, packet) => resolve(packet))
  })
  client.mqtt.publish(refresh, payload, { qos: 1, properties }, () => {})
  const packet = await answered
  return { topic: packet.topic, body: JSON.parse(packet.payload.toString()), packet }
}

const expiryOf = async (local: string): Promise<number | undefined> =>
  (await broker.credentials.get(org, local))?.expiresAt

describe('that a credential ends soon', () => {
  test.each([
    ['3.1.1', 4],
    ['5', 5],
  ] as const)(
    'is told ahead to who subscribed, without any access list, and of its own alone (MQTT %s)',
    async (_name, protocolVersion) => {
      const soon = await temporary('tmp_soon', 1, { protocolVersion })
      const [other, silent, late, ada] = [
        await temporary('tmp_other', 1.2, { protocolVersion }),
        await connect('tmp_soon', { clientId: 'silent', protocolVersion }),
        await temporary('tmp_late', 60, { protocolVersion }),
        await connect('ada', { protocolVersion }),
      ]
      const expiresAt = (await expiryOf('tmp_soon')) ?? 0
      await soon.mqtt.subscribeAsync(expiring, { qos: 1 })
      await other.mqtt.subscribeAsync('$cloudsignal/#')
      await late.mqtt.subscribeAsync('$cloudsignal/credential/+')
      await ada.mqtt.subscribeAsync(['#', expiring])
      expect(soon.received).toEqual([])
      await eventually('it is told', () => soon.received.length > 0)
      expect(Date.now()).toBeLessThan(expiresAt)
      expect(bodies(soon)).toEqual([
        {
          expires_at: new Date(expiresAt).toISOString(),
          expires_in: 0,
          renewable_until: new Date(expiresAt - 1_000 + 3_600_000).toISOString(),
        },
      ])
      expect(soon.received[0]).toMatchObject({ topic: expiring, qos: 0, retain: false })
      await eventually('both are closed', () => soon.closed() && other.closed())
      expect(topics(soon)).toEqual([expiring])
      expect(topics(other)).toEqual([expiring])
      expect(bodies(other)[0]?.['expires_at']).not.toBe(bodies(soon)[0]?.['expires_at'])
      expect([silent, late, ada].flatMap(topics)).toEqual([])
    },
  )

  test('is told a fixed time ahead, where a tenth of its life would be longer', async () => {
    let shift = 0
    const now = (): number => Date.now() + shift
    const own = await startTestBroker({ now, limits: { expiryNoticeMs: 59_500 } })
    await own.addOrganization({ credentials: lives })
    await own.addCredential('tmp_long', [], 600)
    shift = 540_200
    const client = await connect('tmp_long', {}, own.port)
    await client.mqtt.subscribeAsync(expiring)
    await client.mqtt.publishAsync(refresh, 'x', { qos: 1 }).catch(() => {})
    expect(topics(client)).not.toContain(expiring)
    await eventually('it is told', () => topics(client).includes(expiring))
    expect(bodies(client).at(-1)?.['expires_in']).toBeLessThanOrEqual(60)
    await client.end()
    await own.stop()
  })

  test('is told at once to who asks when the time has come already, and to a session that is taken up', async () => {
    const own = await startTestBroker({ limits: { expiryNoticeMs: 1_000_000 } })
    await own.addOrganization({ credentials: lives })
    await own.addCredential('tmp_soon', [], 1.5)
    const session = { clientId: 'device', clean: false, properties: { sessionExpiryInterval: 60 } }
    const first = await connect('tmp_soon', session, own.port)
    await new Promise((resolve) => setTimeout(resolve, 1_360))
    await first.mqtt.subscribeAsync(expiring)
    await eventually('it is told', () => first.received.length === 1)
    await first.end()
    await own.credentials.extend(org, 'tmp_soon', 1, 3_600)
    const again = await connect('tmp_soon', session, own.port)
    expect(again.sessionPresent).toBe(true)
    await eventually('it is told again', () => topics(again).includes(expiring))
    await own.stop()
  })
})

describe('a client asks for its credential to live on', () => {
  test('and it does, the connection stays, and nobody else hears of it', async () => {
    const client = await temporary('tmp_a', 1)
    const [same, ada] = [await connect('tmp_a', { clientId: 'same' }), await connect('ada')]
    await same.mqtt.subscribeAsync(['$cloudsignal/#'])
    await ada.mqtt.subscribeAsync(['#', '$cloudsignal/#'])
    const { topic, body, packet } = await ask(client)
    const expiresAt = (await expiryOf('tmp_a')) ?? 0
    expect(topic).toBe(refreshed)
    expect(packet).toMatchObject({ qos: 0, retain: false, properties: { contentType: 'application/json' } })
    expect(body).toEqual({ expires_at: new Date(expiresAt).toISOString(), expires_in: 600 })
    expect(expiresAt).toBeGreaterThan(Date.now() + 590_000)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect([client, same].map((one) => one.closed())).toEqual([false, false])
    expect([same, ada].flatMap(topics)).toEqual([])
    await client.end()
    await connect('tmp_a', { clientId: 'later' })
  })

  test('for as long as it says, with an answer where and with what it wants to find it by', async () => {
    const client = await temporary('tmp_a', 10)
    const correlationData = Buffer.from([0, 255, 7])
    const { topic, body, packet } = await ask(client, '{"ttl":120}', {
      responseTopic: 'my/answers',
      correlationData,
      userProperties: { a: 'b' },
    })
    expect(topic).toBe('my/answers')
    expect(packet.properties?.correlationData?.equals(correlationData)).toBe(true)
    expect(packet.properties).not.toHaveProperty('userProperties')
    expect(body['expires_in']).toBe(120)
  })

  test('in MQTT 3.1.1, and at every QoS, each request once', async () => {
    for (const qos of [0, 1, 2] as const) {
      const client = await temporary(`tmp_${qos}`, 10, { protocolVersion: 4 })
      await client.mqtt.publishAsync(refresh, '', { qos })
      await eventually('it is answered', () => client.received.length === 1)
      expect(bodies(client)).toEqual([expect.objectContaining({ expires_in: 600 })])
    }
  })

  test('never past the longest life from the first issue', async () => {
    await broker.addOrganization({ credentials: { ...lives, maxLifetime: 60 } })
    const client = await temporary('tmp_a', 59)
    const first = (await broker.credentials.get(org, 'tmp_a'))?.issuedAt ?? 0
    expect((await ask(client)).body['expires_at']).toBe(new Date(first + 60_000).toISOString())
    await new Promise((resolve) => setTimeout(resolve, 1_050))
    expect((await ask(client)).body).toMatchObject({ code: 'renewal_not_possible' })
    expect(await expiryOf('tmp_a')).toBe(first + 60_000)
  })

  test('and is told why not', async () => {
    const code = async (client: TestClient, payload?: string): Promise<unknown> =>
      (await ask(client, payload)).body['code']
    expect(await code(await connect('ada'))).toBe('renewal_not_possible')
    const client = await temporary('tmp_a', 10)
    const before = await expiryOf('tmp_a')
    for (const payload of ['x', '[]', '{"ttl":"1h"}', '1', 'null', `{"x":"${'y'.repeat(2_000)}"}`]) {
      expect(await code(client, payload)).toBe('invalid_request')
    }
    expect(await code(client, '{"ttl":601}')).toBe('ttl_out_of_range')
    expect(await code(client)).toBe('rate_limited')
    expect(await expiryOf('tmp_a')).toBe(before)
    const final = await temporary('tmp_b', 10)
    await broker.addCredential('tmp_final', [], 10, { isFinal: true })
    expect(await code(await connect('tmp_final'))).toBe('renewal_not_possible')
    await broker.credentials.revoke(org, 'tmp_b')
    await eventually('it is closed', () => final.closed())
  })

  test('in MQTT 5 also by the acknowledgement', async () => {
    const client = await temporary('tmp_a', 10)
    const acknowledged = async (payload: string): Promise<unknown> =>
      client.mqtt.publishAsync(refresh, payload, { qos: 1 }).then(
        (packet) => (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0,
        (error: { code?: number }) => error.code,
      )
    expect(await acknowledged('x')).toBe(0x83)
    expect(await acknowledged('')).toBe(0)
    expect(await acknowledged('')).toBe(0x97)
  })

  test('and comes no further than its provider, its API key and its organization are there', async () => {
    await broker.addCredential('tmp_p', [], 10, { provider: 'gone' })
    await broker.addCredential('tmp_k', [], 10, { apiKey: 'gone' })
    for (const local of ['tmp_p', 'tmp_k']) {
      expect((await ask(await connect(local))).body['code']).toBe('invalid_credential')
    }
  })

  test('and counts with the exchanges and renewals of the same person', async () => {
    const client = await temporary('tmp_a', 10)
    for (let index = 0; index < 60; index += 1) {
      await broker.credentials.extend(org, 'tmp_a', 10, 3_600, { perMinute: 60 })
    }
    expect((await ask(client)).body['code']).toBe('rate_limited')
  })
})

describe('what begins with $cloudsignal/ and is nothing', () => {
  test('is not subscribed to, not published to, and never kept', async () => {
    await broker.addCredential('tmp_a', everything, 60)
    const [client, ada] = [await connect('tmp_a'), await connect('ada')]
    for (const filter of ['$cloudsignal/other', refresh, '$cloudsignal', '$SYS/#', '$cloudsignal/+']) {
      expect(await granted(ada, filter)).toBe(0x87)
    }
    for (const filter of [
      '$cloudsignal/#',
      '$cloudsignal/credential/+',
      expiring,
      refreshed,
      '$cloudsignal/+/+',
    ]) {
      expect(await granted(ada, filter)).toBe(0)
    }
    for (const topic of [expiring, refreshed, '$cloudsignal/x', '$cloudsignal', '$SYS/x']) {
      await expect(ada.mqtt.publishAsync(topic, 'forged', { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
    }
    await client.mqtt.publishAsync(refresh, '', { qos: 1, retain: true })
    await client.mqtt.subscribeAsync(['$cloudsignal/#', '#'])
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(topics(client)).toEqual([refreshed])
    expect(topics(ada)).toEqual([])
  })

  test('is no topic of a will', async () => {
    const will = { topic: refresh, payload: Buffer.from(''), qos: 1, retain: false } as const
    await expect(connect('ada', { will })).rejects.toMatchObject({ code: 0x87 })
  })
})

test('a renewal that the control log has not told of is found when the old end comes', async () => {
  const own = await startTestBroker({
    controlLog: deafControlLog,
    credentials: broker.credentials,
    identities: broker.identities,
  })
  await broker.addCredential('tmp_a', [], 0.5)
  await broker.addCredential('tmp_b', [], 0.5, { principal: 'sub:b' })
  const [a, b] = [await connect('tmp_a', {}, own.port), await connect('tmp_b', {}, own.port)]
  await broker.credentials.extend(org, 'tmp_a', 60, 3_600)
  await eventually('the other is closed', () => b.closed())
  expect(b.goodbyes).toEqual([0xa0])
  expect(a.closed()).toBe(false)
  await a.end()
  await own.stop()
})
