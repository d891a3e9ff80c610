import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import type { Log } from '#core/process/logger.ts'
import { MemoryFormerPasswordMarks } from '#core/stores/memory-former-password-marks.ts'
import {
  connectClient,
  useClients,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId as org } from '../fixtures/records.ts'

const verifierOf = (password: string): UserRecord['verifiers'][number]['verifier'] =>
  verifierOfGenerated(password, { kind: 'user', name: `ada@${org}` })

let broker: TestBroker
let registry: Registry
let marks: MemoryFormerPasswordMarks
const lines: { readonly text: string; readonly fields: object }[] = []

beforeEach(async () => {
  lines.length = 0
  registry = new Registry()
  marks = new MemoryFormerPasswordMarks()
  const write = (fields: object, text: string): void => void lines.push({ fields, text })
  const log: Log = { debug() {}, info: write, warn: write, error: write }
  broker = await startTestBroker({ registry, formerPasswords: marks, log })
  await broker.addOrganization()
  await broker.addUser('ada', everything, { verifiers: [{ verifier: verifierOf('old') }] })
})

afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(password: string, clientId: string): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, 'ada', {
    password,
    clientId,
    protocolVersion: 5,
  })
}

/** The password becomes `new`; `old` lets in for so many ms more. */
async function rotate(overlapMs: number): Promise<number> {
  const notAfter = Date.now() + overlapMs
  await broker.addUser('ada', everything, {
    verifiers: [{ verifier: verifierOf('new') }, { verifier: verifierOf('old'), notAfter }],
  })
  return notAfter
}

const told = (): object[] => lines.filter(({ text }) => text.includes('rotated')).map(({ fields }) => fields)
const counted = async (): Promise<string | undefined> =>
  /former_password_connects_total (\d+)/.exec(await registry.metrics())?.[1]

describe('while a rotation overlaps', () => {
  test('both passwords let in; with its end whoever used the former one is closed, and nobody else', async () => {
    const before = await connect('old', 'before')
    const notAfter = await rotate(800)
    const [old, renewed] = [await connect('old', 'old'), await connect('new', 'new')]
    expect([before, old, renewed].map((client) => client.closed())).toEqual([false, false, false])
    await eventually('those with the former one are closed', () => before.closed() && old.closed())
    expect(Date.now()).toBeGreaterThanOrEqual(notAfter)
    expect([before.goodbyes, old.goodbyes]).toEqual([[0xa0], [0xa0]])
    expect(renewed.closed()).toBe(false)
    await expect(connect('old', 'late')).rejects.toMatchObject({ code: 0x86 })
    await connect('new', 'late')
  })

  test('who still used the former one is counted, logged once a minute and noted; not who uses the new one', async () => {
    await connect('old', 'before')
    expect([await counted(), told(), await marks.lastUse(org, 'ada')]).toEqual(['0', [], undefined])
    const notAfter = await rotate(60_000)
    await connect('new', 'new')
    expect([await counted(), told(), await marks.lastUse(org, 'ada')]).toEqual(['0', [], undefined])
    await connect('old', 'a')
    await connect('old', 'b')
    expect(await counted()).toBe('2')
    expect(told()).toEqual([
      { organization: org, user: 'ada', clientId: 'a', endsAt: new Date(notAfter).toISOString() },
    ])
    expect(await marks.lastUse(org, 'ada')).toBeGreaterThan(Date.now() - 5_000)
    expect(JSON.stringify(lines)).not.toMatch(/"(old|new)"/)
  })

  test('who uses the former one can be told that it ends, and can not renew it', async () => {
    const before = await connect('old', 'before')
    await before.mqtt.subscribeAsync('$cloudsignal/credential/expiring')
    expect(before.received).toEqual([])
    const notAfter = await rotate(60_000)
    await eventually('it is told', () => before.received.length === 1)
    expect(JSON.parse(before.received[0]?.payload ?? '')).toEqual({
      expires_at: new Date(notAfter).toISOString(),
      expires_in: 60,
    })
    const refresh = before.mqtt.publishAsync('$cloudsignal/credential/refresh', '', { qos: 1 })
    await expect(refresh).rejects.toMatchObject({ code: 0x87 })
  })

  test('an overlap that is taken back ends the former one at once', async () => {
    const before = await connect('old', 'before')
    await rotate(60_000)
    await broker.addUser('ada', everything, { verifiers: [{ verifier: verifierOf('new') }] })
    await eventually('it is closed', () => before.closed())
    expect(before.goodbyes).toEqual([0x98])
  })
})

test('a mark that can not be written keeps nobody out', async () => {
  const failing = { mark: () => Promise.reject(new Error('away')), lastUse: async () => undefined }
  const own = await startTestBroker({ formerPasswords: failing, identities: broker.identities })
  await rotate(60_000)
  const client = await connectClient(`mqtt://127.0.0.1:${own.port}`, 'ada', { password: 'old' })
  expect(client.closed()).toBe(false)
  await client.end()
  await own.stop()
})
