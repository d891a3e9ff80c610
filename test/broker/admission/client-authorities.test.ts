import { X509Certificate } from 'node:crypto'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { deriveShortId, type OrganizationId } from '#core/organizations/organization-id.ts'
import { silentLog } from '#core/process/logger.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { ClientAuthorities } from '../../../broker/admission/client-authorities.ts'
import { type CertificatePair, issueClient, makeAuthority } from '../../fixtures/client-certificates.ts'
import { anOrganization, anOrganizationId as org, anotherOrganizationId } from '../../fixtures/records.ts'

let own: CertificatePair
let others: CertificatePair
let identities: MemoryIdentityStore
let authorities: ClientAuthorities

beforeAll(async () => {
  ;[own, others] = await Promise.all([makeAuthority('own'), makeAuthority('others')])
})

beforeEach(async () => {
  identities = new MemoryIdentityStore(new MemoryControlLog())
  authorities = new ClientAuthorities(identities, silentLog)
  await identities.markReady()
})
afterEach(() => authorities.close())

const put = (organization: OrganizationId, ...clientAuthorities: string[]): Promise<boolean> =>
  identities.put('organization', organization, 'organization', anOrganization({ clientAuthorities }))
const numbered = (number: number): OrganizationId => `org_${deriveShortId('test', 'default', `o${number}`)}`
const userOf = async (issuer: CertificatePair, name: string): Promise<string | undefined> =>
  authorities.usernameOf(new X509Certificate((await issueClient(issuer, name)).cert))

describe('who a certificate is for that comes without a username', () => {
  test('is said by the only organization that has its authority, also under another spelling of its name', async () => {
    await put(org, own.cert, others.cert)
    await authorities.load()
    expect(await userOf(own, 'ada')).toBe(`ada@${org}`)
    expect(await userOf(others, `ada@${org}`)).toBe(`ada@${org}`)
    expect(await userOf({ ...own, cert: (await makeAuthority('OWN')).cert }, 'ada')).toBe(`ada@${org}`)
    expect(await userOf(await makeAuthority('own'), 'ada')).toBe(undefined)
    expect(await userOf(own, `ada@${anotherOrganizationId}`)).toBe(undefined)
    expect(await userOf(own, 'not a name')).toBe(undefined)
  })

  test('is not known where two organizations have it, unless its name says which', async () => {
    await put(org, own.cert)
    await put(anotherOrganizationId, own.cert)
    await authorities.load()
    expect(await userOf(own, 'ada')).toBe(undefined)
    expect(await userOf(own, `ada@${org}`)).toBe(`ada@${org}`)
  })

  test('is known where one organization has its authority twice, as a renewed one', async () => {
    const keyPair = { privateKey: own.key, publicKey: publicKeyOf(own.cert) }
    const renewed = await makeAuthority('own', { keyPair, notAfterDate: new Date(Date.now() + 10 ** 9) })
    await put(org, own.cert, renewed.cert)
    await authorities.load()
    expect(await userOf(own, 'ada')).toBe(`ada@${org}`)
  })

  test('follows the records', async () => {
    await put(org, own.cert)
    await put(anotherOrganizationId, own.cert)
    await authorities.load()
    await put(anotherOrganizationId, others.cert)
    await authorities.changed(anotherOrganizationId)
    expect(await userOf(own, 'ada')).toBe(`ada@${org}`)
    expect(await userOf(others, 'ada')).toBe(`ada@${anotherOrganizationId}`)
    await put(org)
    await authorities.changed(org)
    expect(await userOf(own, 'ada')).toBe(undefined)
    expect(authorities.isEmpty).toBe(false)
    await identities.remove('organization', anotherOrganizationId, 'organization')
    await authorities.load()
    expect(await userOf(others, 'ada')).toBe(undefined)
    expect(authorities.isEmpty).toBe(true)
  })
})

describe('with a thousand organizations', () => {
  let several: CertificatePair[]
  beforeAll(async () => {
    several = await Promise.all(Array.from({ length: 50 }, (_, index) => makeAuthority(`ca ${index}`)))
  })

  test('a certificate is held against the authorities of its issuer’s name only', async () => {
    for (let number = 0; number < 1_000; number += 1) {
      await put(numbered(number), several[number % several.length]?.cert ?? '')
    }
    await put(org, own.cert)
    await authorities.load()
    const [good, foreign, ambiguous] = await Promise.all([
      issueClient(own, 'ada'),
      issueClient(await makeAuthority('nobody knows it'), 'ada'),
      issueClient(several[0] as CertificatePair, 'ada'),
    ])
    const looked = vi.spyOn(X509Certificate.prototype, 'checkIssued')
    const verified = vi.spyOn(X509Certificate.prototype, 'verify')
    const ask = ({ cert }: CertificatePair): [string | undefined, number, number] => {
      looked.mockClear()
      verified.mockClear()
      const name = authorities.usernameOf(new X509Certificate(cert))
      return [name, looked.mock.calls.length, verified.mock.calls.length]
    }
    expect(ask(good)).toEqual([`ada@${org}`, 1, 1])
    expect(ask(foreign)).toEqual([undefined, 0, 0])
    expect(ask(ambiguous)).toEqual([undefined, 1, 1])
    vi.restoreAllMocks()
  })

  test('that all bring authorities of one name, a certificate of that name says nothing, at no cost', async () => {
    const crowd = await Promise.all(Array.from({ length: 40 }, () => makeAuthority('own')))
    for (const [number, { cert }] of crowd.entries()) await put(numbered(number), cert)
    await put(org, own.cert)
    await authorities.load()
    const verified = vi.spyOn(X509Certificate.prototype, 'verify')
    expect(await userOf(own, 'ada')).toBe(undefined)
    expect(verified).not.toHaveBeenCalled()
    vi.restoreAllMocks()
    for (const number of crowd.keys()) {
      await put(numbered(number))
      await authorities.changed(numbered(number))
    }
    expect(await userOf(own, 'ada')).toBe(`ada@${org}`)
  })
})

const publicKeyOf = (cert: string): string =>
  new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'pem' }) as string
