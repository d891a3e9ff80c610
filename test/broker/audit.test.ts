import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { refusalCodes } from '../../broker/handlers/connect-refusal.ts'
import { reason } from '../../broker/wire/reason-codes.ts'
import { type CapturingAudit, capturingAudit } from '../fixtures/audit.ts'
import {
  connectClient,
  useClients,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../fixtures/raw-client.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'

let broker: TestBroker
let audited: CapturingAudit
const sockets: RawClient[] = []

async function start(over: Parameters<typeof startTestBroker>[0] = {}): Promise<void> {
  audited = capturingAudit()
  broker = await startTestBroker({ audit: audited.audit, ...over })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
}

beforeEach(() => start())
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await broker.stop()
})
const connectTo = useClients()

type Options = Parameters<typeof connectClient>[2]

async function connect(local: string, options: Options = {}): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, local, { clientId: 'c1', ...options })
}

async function raw(...bytes: readonly Buffer[]): Promise<RawClient> {
  const socket = await rawClient(broker.port)
  sockets.push(socket)
  for (const each of bytes) socket.send(each)
  return socket
}

const next = (event: AuditEvent['event']): Promise<AuditEvent> =>
  eventually(`an event ${event} is written`, () => audited.lines.find((line) => line.event === event))

const ada = {
  organization: org,
  username: `ada@${org}`,
  principal: 'user:ada',
  clientId: 'c1',
  address: expect.stringContaining('127.0.0.1'),
  protocol: 'mqtt',
  version: '3.1.1',
}
const temporary = { ...ada, username: `tmp_1@${org}`, principal: 'sub:somebody', credential: 'tmp_1' }

describe('a client', () => {
  test('is written down when it is let in and when it goes, and both are counted', async () => {
    const client = await connect('ada')
    await client.end()
    await next('client.disconnected')
    expect(audited.lines).toEqual([
      { event: 'client.connected', ...ada },
      { event: 'client.disconnected', ...ada, reason: 'connection-lost' },
    ])
    expect(await audited.counted()).toEqual({
      [`client.connected success ${org}`]: 1,
      [`client.disconnected connection-lost ${org}`]: 1,
    })
  })

  test('with MQTT 5 and a credential is written down with both, and until when it may stay', async () => {
    await broker.addCredential('tmp_1', everything, 3_600)
    await connect('tmp_1', { protocolVersion: 5 })
    const expiresAt = expect.stringMatching(/^\d{4}-.*Z$/)
    expect(audited.lines).toEqual([{ event: 'client.connected', ...temporary, version: '5', expiresAt }])
  })

  test('that is replaced is no client that has left', async () => {
    await connect('ada')
    await connect('ada')
    expect(await next('client.taken-over')).toEqual({ event: 'client.taken-over', ...ada })
    expect(audited.lines.map(({ event }) => event).sort()).toEqual([
      'client.connected',
      'client.connected',
      'client.taken-over',
    ])
  })

  test('whose credential ends has expired', async () => {
    await broker.addCredential('tmp_1', everything, 1)
    await connect('tmp_1')
    expect(await next('client.expired')).toEqual({ event: 'client.expired', ...temporary })
    expect(audited.lines).toHaveLength(2)
  })

  test('whose user is deleted was revoked', async () => {
    await connect('ada')
    await broker.identities.remove('user', org, 'ada')
    expect(await next('client.revoked')).toEqual({ event: 'client.revoked', ...ada })
    expect(audited.lines).toHaveLength(2)
  })

  test('that renews its credential over its connection is written down, and also where it may not', async () => {
    await broker.addCredential('tmp_1', everything, 60)
    const client = await connect('tmp_1')
    const ask = (payload: string): Promise<unknown> =>
      client.mqtt.publishAsync('$cloudsignal/credential/refresh', payload, { qos: 1 })
    await ask('')
    await ask('nothing of the sort')
    const names = { organization: org, principal: 'sub:somebody', credential: 'tmp_1', clientId: 'c1' }
    expect(audited.lines.slice(1)).toEqual([
      { event: 'credential.renewed', ...names, address: ada.address, expiresAt: expect.any(String) },
      { event: 'credential.renewal-refused', ...names, address: ada.address, reason: 'invalid_request' },
    ])
  })
})

describe('a refusal is written down with its cause, which the client does not hear:', () => {
  const refusals: readonly [string, string, string, object][] = [
    ['wrong-password', `ada@${org}`, 'wrong', { organization: org, username: `ada@${org}` }],
    ['unknown-user', `bob@${org}`, 'x', { organization: org, username: `bob@${org}` }],
    [
      'unknown-credential',
      `tmp_1@${org}`,
      'x',
      { organization: org, username: `tmp_1@${org}`, credential: 'tmp_1' },
    ],
    [
      'unknown-organization',
      `ada@${anotherOrganizationId}`,
      'ada-password',
      { username: `ada@${anotherOrganizationId}` },
    ],
    // It may be a password in the wrong field.
    ['malformed-username', 'cs_mp_something', 'ada-password', {}],
  ]
  test.each(refusals)('%s', async (cause, username, password, fields) => {
    await expect(connect('ada', { username, password })).rejects.toMatchObject({ code: 4 })
    const { address, protocol, version, clientId } = ada
    expect(audited.lines).toEqual([
      { event: 'client.refused', ...fields, clientId, address, protocol, version, reason: cause },
    ])
    expect(JSON.stringify(audited.lines)).not.toContain('cs_mp')
    const { organization = 'none' } = fields as { organization?: string }
    expect(await audited.counted()).toEqual({ [`client.refused ${cause} ${organization}`]: 1 })
  })

  test('and all of these have one answer', () => {
    const codes = new Set(refusals.map(([cause]) => refusalCodes[cause as keyof typeof refusalCodes]))
    expect([...codes, refusalCodes['credential-expired']]).toEqual(
      Array.from({ length: 2 }, () => reason.badUserNameOrPassword),
    )
  })

  test('a suspended organization, a suspended user, another client id', async () => {
    await broker.addUser('eve', everything, { suspended: true })
    await broker.addCredential('tmp_1', everything, 60, { clientId: 'mine' })
    await expect(connect('eve')).rejects.toMatchObject({ code: 5 })
    await expect(connect('tmp_1')).rejects.toMatchObject({ code: 2 })
    await broker.addOrganization({ suspended: true })
    await expect(connect('ada')).rejects.toMatchObject({ code: 5 })
    expect(audited.lines.map((line) => 'reason' in line && line.reason)).toEqual([
      'user-suspended',
      'wrong-client-id',
      'organization-suspended',
    ])
  })

  test('a full organization, and a will that may not be published', async () => {
    await broker.addOrganization({ limits: { connections: 1 } })
    await broker.addUser('eve', [])
    await connect('ada')
    await expect(connect('ada', { clientId: 'c2' })).rejects.toMatchObject({ code: 3 })
    const will = { topic: 'a', payload: Buffer.from('x'), qos: 0, retain: false } as const
    await expect(connect('eve', { will })).rejects.toMatchObject({ code: 5 })
    expect(audited.lines.slice(1)).toMatchObject([
      { event: 'client.refused', ...ada, clientId: 'c2', reason: 'organization-full' },
      { event: 'access.denied', topic: 'a', username: `eve@${org}` },
      { event: 'client.refused', username: `eve@${org}`, principal: 'user:eve', reason: 'will-not-allowed' },
    ])
  })

  test('a store that does not answer, with what it said', async () => {
    await broker.stop()
    const identities = new MemoryIdentityStore(new MemoryControlLog())
    const away = { get: () => Promise.reject(new Error('away')), recall: () => undefined }
    await start({ identities: Object.assign(Object.create(identities), away), registry: new Registry() })
    await expect(connect('ada')).rejects.toMatchObject({ code: 3 })
    expect(audited.lines).toMatchObject([{ event: 'client.refused', reason: 'unavailable', detail: 'away' }])
    expect(audited.lines[0]).not.toHaveProperty('organization')
  })

  test('what is no CONNECT, without anything that it brings', async () => {
    const socket = await raw(encode({ cmd: 'pingreq' }))
    await socket.untilClosed()
    const { address, protocol } = ada
    expect(audited.lines).toEqual([
      { event: 'client.refused', address, protocol, reason: 'malformed-packet' },
    ])
  })

  test('and somebody who only knocks is not written down', async () => {
    const knocking = await raw()
    knocking.destroy()
    const socket = await raw(connectBytes(4))
    await socket.next('connack')
    expect(audited.lines.map(({ event }) => event)).toEqual(['client.connected'])
  })
})
