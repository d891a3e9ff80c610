import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readCertificate, watchCertificate } from '../../../broker/listeners/certificate-files.ts'
import { everything, startTestBroker, type TestBroker, useClients } from '../../fixtures/broker.ts'
import { makeCertificate, shownSerial, type TestCertificate } from '../../fixtures/certificates.ts'
import { issueClient, makeAuthority } from '../../fixtures/client-certificates.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { mountCertificate, type MountedCertificate } from '../../fixtures/mounted-certificate.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { startUnbrokenTraffic } from '../../fixtures/unbroken-traffic.ts'

let [first, second]: TestCertificate[] = []
let mounted: MountedCertificate
let broker: TestBroker
let registry: Registry
let stopWatching: () => void
let log: ReturnType<typeof recordingLog>

beforeAll(async () => {
  ;[first, second] = await Promise.all([makeCertificate(), makeCertificate(100)])
})
afterAll(() => Promise.all([first?.remove(), second?.remove()]))

const one = (): TestCertificate => first as TestCertificate
const other = (): TestCertificate => second as TestCertificate

beforeEach(async () => {
  log = recordingLog()
  mounted = await mountCertificate(one())
  const current = await readCertificate(mounted)
  registry = new Registry()
  const address = { host: '127.0.0.1', port: 0, ...current }
  broker = await startTestBroker({ registry, listeners: { mqtts: address, wss: address } })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  const use = broker.broker.useCertificate
  stopWatching = watchCertificate(mounted, { current, everyMs: 20, use, log })
})
afterEach(async () => {
  stopWatching()
  await broker.stop()
  await mounted.remove()
})
const connectTo = useClients()

type Name = 'mqtts' | 'wss'
const port = (name: Name): number => broker.broker.ports[name] ?? 0

const serial = (name: Name): Promise<string> => shownSerial(port(name))
const serialOf = ({ cert }: TestCertificate): string => new X509Certificate(cert).serialNumber
const warnings = (): unknown[] => log.lines.filter(({ level }) => level === 'warn')

async function expiration(): Promise<number> {
  const text = await registry.metrics()
  return Number(/^cloudsignal_broker_certificate_expiration_timestamp_seconds (\d\S+)$/m.exec(text)?.[1])
}
const expirationOf = ({ cert }: TestCertificate): number =>
  new X509Certificate(cert).validToDate.getTime() / 1_000

describe.each<Name>(['mqtts', 'wss'])('a certificate that is replaced under traffic over %s', (name) => {
  test('is shown to new connections, and nothing of those there is lost', async () => {
    const connect = (clientId: string, ca: string) =>
      connectTo(`${name}://127.0.0.1:${port(name)}`, 'ada', { ca, clientId })
    const traffic = await startUnbrokenTraffic(
      await connect('from', one().cert),
      await connect('to', one().cert),
    )
    for (const now of [other(), one(), other()]) {
      await traffic.more(50)
      await mounted.swap(now)
      await eventually('it is shown', async () => (await serial(name)) === serialOf(now))
      expect(await expiration()).toBe(expirationOf(now))
    }
    await traffic.more(50)
    await (await connect('new', other().cert)).end()
    await expect(connect('distrustful', one().cert)).rejects.toThrow()
    expect(await traffic.result()).toEqual({ lost: 0, twice: 0, closed: false })
  })
})

const half = (text: string): string => text.slice(0, text.length / 2)
const damaged: readonly (readonly [string, () => { cert: string; key: string }])[] = [
  ['without its second half', () => ({ cert: half(other().cert), key: other().key })],
  ['whose key has no second half', () => ({ cert: other().cert, key: half(other().key) })],
  ['that is empty', () => ({ cert: '', key: '' })],
  ['whose key is of another one', () => ({ cert: other().cert, key: one().key })],
  ['whose chain ends in the middle', () => ({ cert: other().cert + half(one().cert), key: other().key })],
]

describe('a certificate', () => {
  test.each(damaged)('%s is not used, which is said once and without any of it', async (_what, make) => {
    const client = await connectTo(`mqtts://127.0.0.1:${port('mqtts')}`, 'ada', { ca: one().cert })
    const pair = make()
    await mounted.swap(pair)
    await eventually('it is said', () => warnings().length > 0)
    for (const name of ['mqtts', 'wss'] as const) expect(await serial(name)).toBe(serialOf(one()))
    expect(await expiration()).toBe(expirationOf(one()))
    expect(client.closed()).toBe(false)
    expect(warnings()).toHaveLength(1)
    const text = JSON.stringify(log.lines)
    expect(text).toContain(mounted.certFile)
    expect(text).not.toContain('PRIVATE')
    expect(text).not.toContain(other().key.slice(100, 140))
    await mounted.swap(other())
    await eventually('it is used', async () => (await serial('mqtts')) === serialOf(other()))
  })

  test('that is written in place, file after file, is used when both are there', async () => {
    await writeFile(mounted.keyFile, half(other().key))
    await eventually('it is noticed', () => warnings().length > 0)
    await writeFile(mounted.keyFile, other().key)
    expect(await serial('wss')).toBe(serialOf(one()))
    await writeFile(mounted.certFile, other().cert)
    await eventually('it is used', async () => (await serial('wss')) === serialOf(other()))
  })

  test('that is replaced counts where clients are asked for theirs as well', async () => {
    const authority = await makeAuthority('own')
    const { cert, key } = await issueClient(authority, 'ada')
    await broker.addOrganization({ clientAuthorities: [authority.cert] })
    const connect = (ca: string) =>
      connectTo(`mqtts://127.0.0.1:${port('mqtts')}`, 'ada', {
        ca,
        cert,
        key,
        clientId: `trusts-${ca.length}-${Math.random()}`,
        password: undefined as never,
      })
    const before = await connect(one().cert)
    await mounted.swap(other())
    await eventually('it is shown', async () => (await serial('mqtts')) === serialOf(other()))
    const after = await connect(other().cert)
    await after.mqtt.publishAsync('a', 'x', { qos: 1 })
    await before.mqtt.publishAsync('a', 'x', { qos: 1 })
  })
})
