import { X509Certificate } from 'node:crypto'
import { generate, type SelfsignedOptions } from 'selfsigned'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { type CertificateFault, proofOf } from '../../broker/admission/client-certificate.ts'
import { type CapturingAudit, capturingAudit } from '../fixtures/audit.ts'
import {
  connectClient,
  everything,
  startTestBroker,
  type TestBroker,
  useClients,
} from '../fixtures/broker.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import {
  certificateOf,
  type CertificatePair,
  forClients,
  isAuthority,
  issueClient,
  makeAuthority,
} from '../fixtures/client-certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId as org, anotherOrganizationId, aUser } from '../fixtures/records.ts'

const forServers = [{ name: 'basicConstraints' }, { name: 'extKeyUsage', serverAuth: true }] as const
const day = 86_400_000

/** Without a common name. */
async function issueFor(dnsNames: readonly string[]): Promise<CertificatePair> {
  const altNames = dnsNames.map((value) => ({ type: 2, value }))
  const extensions = [...forClients, { name: 'subjectAltName', altNames }]
  const options = { keyType: 'ec', algorithm: 'sha256', ca: own, extensions } as unknown as SelfsignedOptions
  const { cert, private: key } = await generate([{ name: 'organizationName', value: 'Devices' }], options)
  return { cert, key }
}

let server: TestCertificate
let broker: TestBroker
let audited: CapturingAudit
let own: CertificatePair
let others: CertificatePair
let ada: CertificatePair

beforeAll(async () => {
  ;[server, own, others] = await Promise.all([
    makeCertificate(),
    makeAuthority('own'),
    makeAuthority('others'),
  ])
  ada = await issueClient(own, 'ada')
})
afterAll(() => server.remove())

beforeEach(async () => {
  const address = { host: '127.0.0.1', port: 0, cert: server.cert, key: server.key }
  audited = capturingAudit()
  broker = await startTestBroker({
    audit: audited.audit,
    listeners: { mqtts: address, wss: address },
    limits: { refusalMs: 0 },
    throttle: { perClient: 0, perName: 0, perAddress: 0 },
  })
  await putOrganization(org, [own.cert])
  await putOrganization(anotherOrganizationId, [others.cert])
  for (const each of [org, anotherOrganizationId]) await broker.addUser('ada', everything, {}, each)
  await broker.addUser('bob', everything, { suspended: true })
})
afterEach(() => broker.stop())
const connectTo = useClients()

async function putOrganization(organization: OrganizationId, authorities: readonly string[]): Promise<void> {
  const record = anOrganization(authorities.length === 0 ? {} : { clientAuthorities: [...authorities] })
  await broker.identities.put('organization', organization, 'organization', record)
}

type Options = NonNullable<Parameters<typeof connectClient>[2]>
const url = (): string => `mqtts://127.0.0.1:${broker.broker.ports.mqtts}`
const withoutPassword = (pair: CertificatePair): Options => ({
  ca: server.cert,
  cert: pair.cert,
  key: pair.key,
  password: undefined as never,
})

/** 0, or the code of the refusal. */
async function codeOf(
  pair: CertificatePair,
  username: string | undefined,
  over: Options = {},
): Promise<number> {
  const options = { ...withoutPassword(pair), username: username as never, ...over }
  return connectTo(url(), 'nobody', options).then(
    () => 0,
    (error: { code?: number }) => error.code ?? -1,
  )
}

describe('a client certificate', () => {
  test('lets its user in without a password, who may do what that user may', async () => {
    for (const protocolVersion of [4, 5] as const) {
      const client = await connectTo(url(), 'ada', {
        ...withoutPassword(ada),
        protocolVersion,
        clientId: 'c',
      })
      await client.mqtt.subscribeAsync('a')
      await client.mqtt.publishAsync('a', 'x', { qos: 1 })
      await eventually('it comes back', () => client.received.length === 1)
      await client.end()
    }
  })

  test('says who it is for where no username is given, by its short name or its long one', async () => {
    expect(await codeOf(ada, undefined)).toBe(0)
    expect(await codeOf(await issueClient(own, `ada@${org}`), undefined)).toBe(0)
    expect(await codeOf(await issueClient(own, `ada@${anotherOrganizationId}`), undefined)).not.toBe(0)
  })

  test('without a common name is for the only DNS name it has, and with two for nobody', async () => {
    expect(await codeOf(await issueFor(['ada']), `ada@${org}`)).toBe(0)
    expect(await codeOf(await issueFor(['bob']), `ada@${org}`)).toBeGreaterThan(0)
    expect(await codeOf(await issueFor(['ada', 'bob']), `ada@${org}`)).toBeGreaterThan(0)
    expect(audited.lines.at(-1)).toMatchObject({ event: 'client.refused', reason: 'wrong-certificate' })
  })

  test.each<[string, CertificateFault, () => Promise<CertificatePair>]>([
    ['for another user', 'the certificate is for another user', () => issueClient(own, 'bob')],
    [
      'of an authority of another organization',
      'the organization has no authority that issued it',
      () => issueClient(others, 'ada'),
    ],
    [
      'of an unknown authority of the same name',
      'the organization has no authority that issued it',
      async () => issueClient(await makeAuthority('own'), 'ada'),
    ],
    [
      'that is signed by itself',
      'the organization has no authority that issued it',
      () => certificateOf('ada', { extensions: forClients }),
    ],
    [
      'that is an authority itself',
      'the certificate is an authority itself',
      () => issueClient(own, 'ada', { extensions: isAuthority }),
    ],
    [
      'that is issued by one that is no authority',
      'the organization has no authority that issued it',
      async () => issueClient(ada, 'ada'),
    ],
    [
      'that is for servers',
      'the certificate is not for clients',
      () => issueClient(own, 'ada', { extensions: forServers }),
    ],
    [
      'that is signed with SHA-1',
      'the certificate is signed by an algorithm that is too weak',
      () => issueClient(own, 'ada', { algorithm: 'sha1' }),
    ],
    [
      'that has expired',
      'the certificate is not valid at this time',
      () =>
        issueClient(own, 'ada', {
          notBeforeDate: new Date(Date.now() - 2 * day),
          notAfterDate: new Date(Date.now() - day),
        }),
    ],
    [
      'that is not valid yet',
      'the certificate is not valid at this time',
      () =>
        issueClient(own, 'ada', {
          notBeforeDate: new Date(Date.now() + day),
          notAfterDate: new Date(Date.now() + 2 * day),
        }),
    ],
  ])('%s lets nobody in: %s', async (_what, fault, make) => {
    const pair = await make()
    const certificate = new X509Certificate(pair.cert)
    const name = { local: 'ada', organization: org }
    expect(proofOf(certificate, name, [own.cert], Date.now())).toEqual({ fault })
    expect(await codeOf(pair, `ada@${org}`)).toBeGreaterThan(0)
    expect(audited.lines.at(-1)).toMatchObject({ event: 'client.refused', reason: 'wrong-certificate' })
  })

  test.each([
    ['who does not exist', 'eve', 'unknown-user'],
    ['who is suspended', 'bob', 'user-suspended'],
    ['who is a temporary credential', 'tmp_1', 'unknown-credential'],
  ])('for somebody %s lets nobody in', async (_who, local, reason) => {
    expect(await codeOf(await issueClient(own, local), `${local}@${org}`)).toBeGreaterThan(0)
    expect(audited.lines.at(-1)).toMatchObject({ event: 'client.refused', reason })
  })

  test('for a temporary credential lets nobody in who has it', async () => {
    await broker.addCredential('tmp_1', everything, 60)
    expect(await codeOf(await issueClient(own, 'tmp_1'), `tmp_1@${org}`)).toBeGreaterThan(0)
    expect(audited.lines.at(-1)).toMatchObject({ event: 'client.refused', reason: 'wrong-certificate' })
  })

  test('of one organization opens no other, whatever name is given', async () => {
    expect(await codeOf(ada, `ada@${anotherOrganizationId}`)).toBeGreaterThan(0)
    expect(await codeOf(await issueClient(others, `ada@${org}`), `ada@${org}`)).toBeGreaterThan(0)
  })

  test('does not count beside a password, right or wrong', async () => {
    expect(await codeOf(ada, `ada@${org}`, { password: 'wrong' })).toBeGreaterThan(0)
    const foreign = await issueClient(others, 'ada')
    expect(await codeOf(foreign, `ada@${org}`, { password: 'ada-password' })).toBe(0)
  })

  test('ends its connections when its authority goes, and lets nobody in any more; those by password stay', async () => {
    const byCertificate = await connectTo(url(), 'ada', { ...withoutPassword(ada), clientId: 'a' })
    const byPassword = await connectTo(url(), 'ada', { ca: server.cert, clientId: 'b' })
    await putOrganization(org, [others.cert])
    await eventually('it is closed', () => byCertificate.closed())
    expect(byPassword.closed()).toBe(false)
    expect(await codeOf(ada, `ada@${org}`)).toBeGreaterThan(0)
  })

  test('ends its connections when its user goes', async () => {
    const client = await connectTo(url(), 'ada', withoutPassword(ada))
    await broker.identities.remove('user', org, 'ada')
    await eventually('it is closed', () => client.closed())
  })

  test('ends its connections when it expires', async () => {
    const notAfterDate = new Date(Date.now() + 3_000)
    const short = await issueClient(own, 'ada', { notBeforeDate: new Date(Date.now() - day), notAfterDate })
    const client = await connectTo(url(), 'ada', withoutPassword(short))
    expect(client.closed()).toBe(false)
    await eventually('it is closed', () => client.closed())
    expect(Date.now()).toBeGreaterThanOrEqual(notAfterDate.getTime() - 1_000)
  })
})

describe('clients are asked for a certificate', () => {
  test('not over WebSocket, where browsers would ask people: a certificate opens nothing there', async () => {
    const wss = `wss://127.0.0.1:${broker.broker.ports.wss}`
    const attempt = connectTo(wss, 'ada', withoutPassword(ada))
    await expect(attempt).rejects.toThrow()
    const client = await connectTo(wss, 'ada', { ca: server.cert })
    expect(client.closed()).toBe(false)
  })

  test('also by a broker that could not read the records when it started', async () => {
    await broker.stop()
    const identities = new MemoryIdentityStore(new MemoryControlLog())
    await identities.put(
      'organization',
      org,
      'organization',
      anOrganization({ clientAuthorities: [own.cert] }),
    )
    await identities.put(
      'user',
      org,
      'ada',
      aUser('ada', 'x', { access: { ...emptyPolicy, rules: [...everything] } }),
    )
    await identities.markReady()
    const organizations = vi.spyOn(identities, 'organizations')
    organizations.mockRejectedValueOnce(new DomainError('store-unavailable', 'not now'))
    const mqtts = { host: '127.0.0.1', port: 0, cert: server.cert, key: server.key }
    broker = await startTestBroker({ identities, listeners: { mqtts }, limits: { refusalMs: 0 } })
    expect(await codeOf(ada, `ada@${org}`)).toBeGreaterThan(0)
    await eventually('it is let in', async () => (await codeOf(ada, `ada@${org}`)) === 0)
  })

  test('from when the first organization has authorities, without a restart', async () => {
    await putOrganization(org, [])
    await putOrganization(anotherOrganizationId, [])
    expect(await codeOf(ada, `ada@${org}`)).toBeGreaterThan(0)
    await putOrganization(org, [own.cert])
    expect(await codeOf(ada, `ada@${org}`)).toBe(0)
  })
})
