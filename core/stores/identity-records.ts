import type { Static } from 'typebox'
import { AccessListRecordSchema } from '#core/access/access-list-record.ts'
import { ApiKeyRecordSchema } from '#core/credentials/api-key-record.ts'
import { UserRecordSchema } from '#core/credentials/user-record.ts'
import { ProviderRecordSchema } from '#core/identity/provider-record.ts'
import { OrganizationRecordSchema } from '#core/organizations/organization-record.ts'

/** What the operator writes of an organization, by type. A new type is one file and one line here. */
export const identityRecordSchemas = {
  organization: OrganizationRecordSchema,
  user: UserRecordSchema,
  'access-list': AccessListRecordSchema,
  provider: ProviderRecordSchema,
  'api-key': ApiKeyRecordSchema,
} as const

export type IdentityRecordType = keyof typeof identityRecordSchemas
export type IdentityRecord<T extends IdentityRecordType> = Static<(typeof identityRecordSchemas)[T]>

export const identityRecordTypes = Object.keys(identityRecordSchemas) as IdentityRecordType[]

/** The organization's own record is one of a kind: this is its name. */
export const organizationRecordName = 'organization'
