import { beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import type { Admission, Admitted } from '../../../broker/admission/admission.ts'
import { Admissions } from '../../../broker/admission/admissions.ts'
import { allow, everything } from '../../fixtures/broker.ts'
import {
  aCredential,
  anOrganization,
  anOrganizationId as org,
  anotherOrganizationId,
  aUser,
} from '../../fixtures/records.ts'

let now: number
let identities: MemoryIdentityStore
let credentials: MemoryCredentialStore
let admissions: Admissions

beforeEach(async () => {
  now = 1_700_000_000_000
  const log = new MemoryControlLog()
  identities = new MemoryIdentityStore(log)
  credentials = new MemoryCredentialStore(log, () => now)
  admissions = new Admissions({ identities, credentials, now: () => now })
  await identities.markReady()
  await identities.put('organization', org, 'organization', anOrganization())
})

const access = { ...emptyPolicy, rules: [...everything] }
const putUser = (over: Partial<UserRecord> = {}, password = 'secret'): Promise<boolean> =>
  identities.put('user', org, 'ada', aUser('ada', password, { access, ...over }))
const claim = async (local = 'ada', password = 'secret', clientId = 'c'): Promise<Admitted> =>
  admissions.admit({ username: `${local}@${org}`, password, clientId })

async function admitted(given: Promise<Admitted> | Admitted): Promise<Admission> {
  const result = await given
  if (!('admission' in result)) throw new Error(`refused: ${result.refusal}`)
  return result.admission
}

describe('a permanent user', () => {
  test('gets in with its password, as itself and with its attributes', async () => {
    await putUser()
    expect(await admitted(claim())).toMatchObject({
      organizationId: org,
      principal: 'user:ada',
      source: { type: 'user', name: 'ada' },
      attributes: { username: 'ada', org_id: org, org_short_id: org, client_id: 'c' },
    })
  })

  test.each([
    ['a wrong password', 'ada', 'wrong', 'wrong-password'],
    ['no password', 'ada', '', 'wrong-password'],
    ['an unknown name', 'bob', 'secret', 'unknown-user'],
    ['another case', 'ADA', 'secret', 'unknown-user'],
    ['an unknown credential', 'tmp_0', 'secret', 'unknown-credential'],
    ['what is no name', '', 'secret', 'malformed-username'],
  ])('stays out with %s', async (_name, local, password, refusal) => {
    await putUser()
    expect(await claim(local, password)).toEqual({ refusal })
  })

  test('stays out of another organization', async () => {
    await putUser()
    const username = `ada@${anotherOrganizationId}`
    expect(await admissions.admit({ username, password: 'secret', clientId: 'c' })).toEqual({
      refusal: 'unknown-organization',
    })
  })

  test('has two passwords while a rotation overlaps, and the former one only until its end', async () => {
    const binding = { kind: 'user', name: `ada@${org}` } as const
    await putUser({
      verifiers: [
        { verifier: verifierOfGenerated('new', binding) },
        { verifier: verifierOfGenerated('old', binding), notAfter: now + 1_000 },
      ],
    })
    const former = await admitted(claim('ada', 'old'))
    await admitted(claim('ada', 'new'))
    now += 1_000
    expect(await claim('ada', 'old')).toEqual({ refusal: 'wrong-password' })
    expect(await admissions.review(former)).toEqual({ refusal: 'wrong-password' })
    await admitted(claim('ada', 'new'))
  })

  test('without an organization record is nobody, also when its own record is there', async () => {
    await putUser()
    await identities.remove('organization', org, 'organization')
    expect(await claim()).toEqual({ refusal: 'unknown-organization' })
  })
})

describe('a temporary credential', () => {
  const create = (over: Parameters<typeof aCredential>[2] = {}): Promise<unknown> =>
    credentials.create(org, 'tmp_1', aCredential('tmp_1', 'secret', { access, ...over }), 60)

  test('gets in as the principal it was issued to, until it expires', async () => {
    await create({ attributes: { user_id: 'u1' } })
    expect(await admitted(claim('tmp_1'))).toMatchObject({
      principal: 'sub:somebody',
      source: { type: 'credential', name: 'tmp_1' },
      attributes: { user_id: 'u1', username: 'tmp_1' },
      expiresAt: now + 60_000,
    })
    now += 60_000
    expect(await claim('tmp_1')).toEqual({ refusal: 'unknown-credential' })
  })

  test('that the store still holds after its end is dead all the same', async () => {
    await create()
    const late: CredentialReader = { get: () => Promise.resolve(credential), versionOf: () => undefined }
    const credential = await credentials.get(org, 'tmp_1')
    const slow = new Admissions({ identities, credentials: late, now: () => now })
    const given = { username: `tmp_1@${org}`, password: 'secret', clientId: 'c' }
    const admission = await admitted(slow.admit(given))
    now += 60_000
    expect(await slow.admit(given)).toEqual({ refusal: 'credential-expired' })
    expect(await slow.review(admission)).toEqual({ refusal: 'credential-expired' })
  })

  test('for one client id serves no other', async () => {
    await create({ clientId: 'mine' })
    expect(await claim('tmp_1', 'secret', 'other')).toEqual({ refusal: 'wrong-client-id' })
    await admitted(claim('tmp_1', 'secret', 'mine'))
  })

  test('never overrides what it is called: the broker names username, organization and client id', async () => {
    await create({ attributes: { username: 'root', org_id: 'x', client_id: 'y' } })
    expect((await admitted(claim('tmp_1'))).attributes).toMatchObject({
      username: 'tmp_1',
      org_id: org,
      client_id: 'c',
    })
  })
})

describe('a review', () => {
  test('gives the access of now', async () => {
    await putUser()
    const admission = await admitted(claim())
    await putUser({ access: { ...emptyPolicy, rules: [allow(['publish'], 'a')] } })
    const reviewed = await admitted(admissions.review(admission))
    expect(reviewed.access.publish('a', 0, false).allowed).toBe(true)
    expect(reviewed.access.publish('b', 0, false).allowed).toBe(false)
  })

  test.each<readonly [string, () => Promise<unknown>, string]>([
    ['a deleted user', () => identities.remove('user', org, 'ada'), 'unknown-user'],
    ['a user made anew under the same name and password', () => putUser({ uid: 'other' }), 'wrong-password'],
    ['a user whose password was changed', () => putUser({}, 'changed'), 'wrong-password'],
    ['a suspended user', () => putUser({ suspended: true }), 'user-suspended'],
    [
      'a suspended organization',
      () => identities.put('organization', org, 'organization', anOrganization({ suspended: true })),
      'organization-suspended',
    ],
    [
      'an organization that is gone',
      () => identities.remove('organization', org, 'organization'),
      'unknown-organization',
    ],
  ])('ends %s', async (_name, change, refusal) => {
    await putUser()
    const admission = await admitted(claim())
    await change()
    expect(await admissions.review(admission)).toEqual({ refusal })
  })
})

describe('while records are on their way', () => {
  beforeEach(() => {
    identities = new MemoryIdentityStore(new MemoryControlLog())
    admissions = new Admissions({ identities, credentials, now: () => now })
  })

  test('nobody is told that a password is wrong because a record is missing', async () => {
    expect(await claim()).toEqual({ refusal: 'unavailable' })
    await identities.put('organization', org, 'organization', anOrganization())
    expect(await claim()).toEqual({ refusal: 'unavailable' })
    await putUser()
    expect(await claim('ada', 'wrong')).toEqual({ refusal: 'wrong-password' })
    const admission = await admitted(claim())
    await identities.remove('user', org, 'ada')
    expect(await admissions.review(admission)).toEqual({ refusal: 'unavailable' })
    await identities.markReady()
    expect(await admissions.review(admission)).toEqual({ refusal: 'unknown-user' })
  })

  test('a store that does not answer is no verdict, and rejects nothing', async () => {
    const cause = new Error('away')
    const broken = Object.assign(Object.create(identities), { get: () => Promise.reject(cause) })
    const away = new Admissions({ identities: broken, credentials, now: () => now })
    expect(await away.admit({ username: `ada@${org}`, password: 'x', clientId: 'c' })).toEqual({
      refusal: 'unavailable',
      cause,
    })
  })
})
