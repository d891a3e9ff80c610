import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatUsername, isTemporary, parseUsername } from '#core/credentials/username.ts'
import { deriveShortId, organizationIdOf, parseOrganizationId } from '#core/organizations/organization-id.ts'

const first = 'ABCxyz019'
const local = fc
  .tuple(
    fc.constantFrom(...first),
    fc.string({ unit: fc.constantFrom(...first, '.', '_', '-'), maxLength: 63 }),
  )
  .map((parts) => parts.join(''))
const shortId = fc.string({ unit: fc.constantFrom(...'abcz237'), minLength: 12, maxLength: 12 })

describe('whatever the name', () => {
  test('a well-formed username comes apart into what it was made of', () => {
    fc.assert(
      fc.property(local, shortId, (name, id) => {
        const username = { local: name, organization: `org_${id}` as const }
        expect(parseUsername(formatUsername(username))).toEqual(username)
      }),
    )
  })

  test('any text is either no username or exactly the one it spells', () => {
    const text = fc.oneof(
      fc.string(),
      fc.tuple(fc.string(), shortId).map(([name, id]) => `${name}@org_${id}`),
    )
    fc.assert(
      fc.property(text, (given) => {
        const parsed = parseUsername(given)
        if (parsed !== undefined) expect(formatUsername(parsed)).toBe(given)
      }),
      { numRuns: 5_000 },
    )
  })
})

test.each([
  '',
  '@org_k7xm4pqr2n5t',
  'ada',
  'ada@',
  'ada@k7xm4pqr2n5t',
  'ada@org_k7xm4pqr2n5',
  'ada@org_k7xm4pqr2n5t0',
  'ada@org_K7XM4PQR2N5T',
  'ada@org_k7xm4pqr2n51',
  'ada @org_k7xm4pqr2n5t',
  'ada@ org_k7xm4pqr2n5t',
  'a@b@org_k7xm4pqr2n5t',
  '-ada@org_k7xm4pqr2n5t',
  'a+b@org_k7xm4pqr2n5t',
  'a/b@org_k7xm4pqr2n5t',
  'ada\n@org_k7xm4pqr2n5t',
  'ada@org_k7xm4pqr2n5t\n',
  `${'a'.repeat(65)}@org_k7xm4pqr2n5t`,
])('%j is no username', (text) => {
  expect(parseUsername(text)).toBeUndefined()
})

test('temporary credentials are known by their prefix', () => {
  expect([isTemporary('tmp_x'), isTemporary('TMP_x'), isTemporary('tmpx')]).toEqual([true, false, false])
})

describe('a short id', () => {
  test('that is derived is always the same for the same Organization, and another for any other', () => {
    const id = deriveShortId('cs', 'default', 'acme')
    expect(organizationIdOf(id)).toBe(`org_${id}`)
    expect(deriveShortId('cs', 'default', 'acme')).toBe(id)
    expect(
      new Set([id, deriveShortId('cs', 'default', 'acme2'), deriveShortId('cs', 'defaul', 'tacme')]).size,
    ).toBe(3)
  })

  test('is read with its prefix only', () => {
    expect(parseOrganizationId('k7xm4pqr2n5t')).toBeUndefined()
    expect(parseOrganizationId('org_k7xm4pqr2n5t')).toBe('org_k7xm4pqr2n5t')
  })
})
