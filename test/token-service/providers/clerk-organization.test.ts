import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { verifyToken } from '../../../token-service/verifier/verify-token.ts'
import { withOrganization } from '../../../token-service/providers/clerk-organization.ts'
import type { JsonObject } from '../../../token-service/verifier/compact-token.ts'
import { jwksOf, signWith } from '../../fixtures/issuer.ts'
import { installedPackages, requireFrom } from '../../fixtures/node-packages.ts'
import { providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId, aProvider } from '../../fixtures/records.ts'
import { genuineKeys } from '../../fixtures/token-forgeries.ts'

const now = 1_800_000_000
const { clerk } = providerSamples
const permissionsOf = (claims: JsonObject): unknown =>
  withOrganization({ v: 2, ...claims })['org_permissions']

describe('the active organization of a Clerk session', () => {
  test('of version 2 reads as in version 1', () => {
    const claims = {
      v: 2,
      sub: 'user_1',
      fea: 'o:dashboard,u:billing,uo:teams',
      o: { id: 'org_1', slg: 'acme', rol: 'admin', per: 'read,manage', fpm: '3,2' },
    }
    expect(withOrganization(claims)).toEqual({
      ...claims,
      org_id: 'org_1',
      org_slug: 'acme',
      org_role: 'org:admin',
      org_permissions: ['org:dashboard:read', 'org:dashboard:manage', 'org:teams:manage'],
    })
  })

  test('of version 1 stays as it is', () => {
    const claims = { org_id: 'org_1', org_permissions: ['org:a:read'], o: { id: 'org_2' }, fea: 'o:b' }
    expect(withOrganization(claims)).toBe(claims)
  })

  test.each<[string, JsonObject]>([
    ['no organization', { fea: 'o:a' }],
    ['no features', { o: { per: 'read', fpm: '1' } }],
    ['features of the user alone', { fea: 'u:a', o: { per: 'read', fpm: '1' } }],
    ['no map', { fea: 'o:a', o: { per: 'read' } }],
    ['a map that is no number', { fea: 'o:a', o: { per: 'read', fpm: '1e9' } }],
    ['a negative map', { fea: 'o:a', o: { per: 'read', fpm: '-1' } }],
    ['bits beyond its permissions', { fea: 'o:a', o: { per: 'read', fpm: '6' } }],
    ['a list for a text', { fea: ['o:a'], o: { per: ['read'], fpm: ['1'] } }],
    ['a map of a kilobyte', { fea: 'o:a', o: { per: 'read', fpm: '1'.repeat(1_001) } }],
  ])('with %s has no permission', (_name, claims) => {
    expect(permissionsOf(claims) ?? []).toEqual([])
  })

  test('is not what a token of version 2 says under the names of version 1', () => {
    const own = { org_id: 'org_mine', org_role: 'org:admin', org_permissions: ['org:all:manage'] }
    expect(withOrganization({ v: 2, ...own })).toEqual({ v: 2 })
    expect(withOrganization({ v: 2, ...own, o: { id: 'org_1' } })).toMatchObject({
      org_id: 'org_1',
      org_role: undefined,
      org_permissions: [],
    })
  })

  test.each([
    ['version 2', {}],
    ['version 1', clerk.alsoIssued?.find(({ name }) => name === 'version 1')?.claims],
  ])('binds claims and maps attributes in %s alike', async (_version, over) => {
    const attributes = [
      { name: 'team', claim: '/org_id' },
      { name: 'role', claim: '/org_role' },
    ]
    const judge = async (permission: string) => {
      const boundClaims = [{ claim: '/org_permissions', values: [permission] }]
      const record = aProvider({ type: 'clerk', settings: clerk.settings, attributes, boundClaims })
      const token = await signWith(genuineKeys, { ...clerk.claims(now), ...over })
      const keys = new IssuerKeys({
        fetch: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
        now: () => now * 1000,
      })
      return verifyToken(token, { organization: anOrganizationId, record }, keys, () => now * 1000)
    }
    const { claims } = await judge('org:messages:manage')
    expect({ ...claims }).toEqual({ 'claims.team': 'org_2abc', 'claims.role': 'org:admin' })
    await expect(judge('org:messages:delete')).rejects.toMatchObject({ failure: 'claim_mismatch' })
  })
})

interface ClerkParser {
  readonly __experimental_JWTPayloadToAuthObjectProperties: (claims: JsonObject) => {
    readonly orgId?: string
    readonly orgRole?: string
    readonly orgSlug?: string
    readonly orgPermissions?: readonly string[]
  }
}

const directory = await installedPackages('official-verifiers')

test.skipIf(directory === undefined)('Clerk’s own reader finds the same in every token', () => {
  const parser = requireFrom<ClerkParser>(directory ?? '', '@clerk/shared/jwtPayloadParser')
  const name = fc.stringMatching(/^[a-z]{1,6}$/)
  const joined = (each: fc.Arbitrary<string>) =>
    fc.array(each, { maxLength: 5 }).map((list) => list.join(','))
  const tokens = fc.record(
    {
      v: fc.constantFrom(2, 1),
      fea: joined(fc.tuple(fc.constantFrom('o', 'u', 'uo', 'ou'), name).map((pair) => pair.join(':'))),
      o: fc.record(
        { id: name, slg: name, rol: name, per: joined(name), fpm: joined(fc.nat(40).map(String)) },
        { requiredKeys: ['id'] },
      ),
      org_id: name,
      org_role: name,
    },
    { requiredKeys: ['v'] },
  )
  fc.assert(
    fc.property(tokens, (claims) => {
      const theirs = parser.__experimental_JWTPayloadToAuthObjectProperties(claims)
      const ours = withOrganization(claims)
      expect([ours['org_id'], ours['org_role'], ours['org_slug'], ours['org_permissions']]).toEqual([
        theirs.orgId,
        theirs.orgRole,
        theirs.orgSlug,
        theirs.orgPermissions,
      ])
    }),
    { numRuns: 500 },
  )
})
