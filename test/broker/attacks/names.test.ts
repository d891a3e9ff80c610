import type { ISubscribePacket } from 'mqtt-packet'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import { createAudit } from '#core/audit/audit.ts'
import type { Log } from '#core/process/logger.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { ask } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../../fixtures/raw-client.ts'

/** Attack classes of names that mean something somewhere else: in logs, in stores, in JavaScript. */
let broker: TestBroker
let lines: string[]

const record = (fields: object, message: string): void =>
  void lines.push(`${message} ${JSON.stringify(fields)}`)
const write = (event: AuditEvent, message: string): void => record(event, message)
const log: Log = { debug: record, info: record, warn: record, error: record }

beforeEach(async () => {
  lines = []
  const audit = createAudit({ level: 'all', write, registry: new Registry(), now: Date.now })
  broker = await startTestBroker({ log, audit })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
})

afterEach(() => broker.stop())

async function connack(
  over: Parameters<typeof connectBytes>[1],
): Promise<{ client: RawClient; packet: unknown }> {
  const client = await rawClient(broker.port)
  client.send(connectBytes(4, over))
  return { client, packet: await client.next('connack') }
}

test.each(['\r\n{"level":"info","msg":"admin signed in"}', '\u001b[2J', '\u009b31m', '\u0000', '\u007f'])(
  'a client id or username with %j is closed, and nothing of it is logged',
  async (hostile) => {
    for (const over of [{ clientId: `x${hostile}` }, { username: `ada${hostile}@org_k7xm4pqr2n5t` }]) {
      const client = await rawClient(broker.port)
      client.send(connectBytes(4, over))
      await client.untilClosed()
      expect(client.packets).toEqual([])
    }
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}]|admin|\[2J|\\u00|\\r|\\n/u)
  },
)

test('a username of many bytes is logged in part, the password never', async () => {
  const { packet } = await connack({ username: 'u'.repeat(20_000), password: Buffer.from('hunter2') })
  expect(packet).toMatchObject({ returnCode: 4 })
  expect(lines).not.toEqual([])
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(1_000)
  expect(lines.join('\n')).not.toContain('hunter2')
})

describe('the client id', () => {
  const hostile = [
    '*',
    '?[x]',
    'a:b',
    'x:offlineCount',
    'client:sub:raw',
    '../../other',
    'raw/',
    'ada/raw',
    'user:ada/raw',
    '%2Fraw',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '{org_k7xm4pqr2n5t}',
    '"; FLUSHALL; "',
    '\u2028',
    '𝒳',
  ]

  test('is a name and nothing else: each has its own session', async () => {
    const subscribe: ISubscribePacket = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'a', qos: 1 }],
    }
    const present: unknown[] = []
    for (const round of ['first', 'second']) {
      for (const clientId of ['raw', ...hostile]) {
        const { client, packet } = await connack({ clientId, clean: false })
        present.push((packet as { sessionPresent: boolean }).sessionPresent)
        if (round === 'first') await ask(client, subscribe, 'suback')
        client.send(encode({ cmd: 'disconnect' }))
        await client.untilClosed()
      }
    }
    const count = hostile.length + 1
    expect(present).toEqual([...Array<boolean>(count).fill(false), ...Array<boolean>(count).fill(true)])
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })
})

test.each([
  'a:b',
  '*',
  '?[x]',
  'x\u2028',
  '__proto__',
  'constructor',
  'a/b',
  'ada@org_k7xm4pqr2n5t',
  '',
  '.',
  'tmp_',
])('the username %j is nobody', async (local) => {
  const { packet } = await connack({ username: `${local}@org_k7xm4pqr2n5t`, clientId: 'x' })
  expect(packet).toMatchObject({ returnCode: 4 })
})

test('a store that fails refuses everybody, with "server unavailable"', async () => {
  const identities = new MemoryIdentityStore(new MemoryControlLog())
  const failing = Object.assign(identities, {
    get: () => Promise.reject(new DomainError('store-unavailable', 'no Redis')),
    getMany: () => Promise.reject(new DomainError('store-unavailable', 'no Redis')),
  })
  const closed = await startTestBroker({ identities: failing })
  const client = await rawClient(closed.port)
  client.send(connectBytes())
  expect(await client.next('connack')).toMatchObject({ returnCode: 3 })
  await client.untilClosed()
  await closed.stop()
})
