/** While versions are mixed, an older program reads what a newer one wrote, and the other way round. */
import { describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { CredentialRecordSchema } from '#core/credentials/credential-record.ts'
import { identityRecordSchemas } from '#core/stores/identity-records.ts'
import { recordCodec } from '#core/stores/record-codec.ts'
import { aCredential, anApiKey, anOrganization, aProvider, aUser } from '../../fixtures/records.ts'

const rule = { effect: 'allow', actions: ['publish'], topics: ['a'] } as const
const list = { rules: [rule] }
const access = { ...emptyPolicy, rules: [{ ...rule, actions: [...rule.actions], topics: [...rule.topics] }] }

const records: readonly (readonly [string, Parameters<typeof recordCodec>[1], object])[] = [
  ['organization', identityRecordSchemas.organization, anOrganization()],
  ['user', identityRecordSchemas.user, aUser('ada', 'password', { access })],
  ['access-list', identityRecordSchemas['access-list'], list],
  ['provider', identityRecordSchemas.provider, aProvider()],
  ['api-key', identityRecordSchemas['api-key'], anApiKey('backend', 'cs_sk_secret')],
  ['credential', CredentialRecordSchema, aCredential('tmp_a', 'password', { access })],
]

/** Not maps, where each name means something, nor rules. */
const leftAlone = ['attributes', 'settings', 'rules']

/** With a field that nobody knows in every object of it. */
function ofALaterVersion(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => ofALaterVersion(item))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(
    ([name, item]) => [name, leftAlone.includes(name) ? item : ofALaterVersion(item)] as const,
  )
  return { ...Object.fromEntries(fields), ofALaterVersion: { something: 1 } }
}

describe.each(records)('a record of type %s', (name, schema, record) => {
  const codec = recordCodec(name, schema)

  test('of a later version is read, with all that is known of it', () => {
    const text = JSON.stringify(ofALaterVersion(record))
    expect(text).toContain('ofALaterVersion')
    expect(codec.decode(text)).toMatchObject(record)
  })

  test('that lacks what has always been there is damaged', () => {
    const [first] = Object.keys(record)
    const text = JSON.stringify({ ...record, [first ?? '']: undefined })
    expect(() => codec.decode(text)).toThrow(expect.objectContaining({ code: 'record-damaged' }))
  })
})

test('a rule of a later version is not read without what it says more: that might be a condition', () => {
  const codec = recordCodec('access-list', identityRecordSchemas['access-list'])
  expect(codec.decode(JSON.stringify(list))).toEqual(list)
  const later = JSON.stringify({ rules: [{ ...rule, onlyOnSundays: true }] })
  expect(() => codec.decode(later)).toThrow(expect.objectContaining({ code: 'record-damaged' }))
})
