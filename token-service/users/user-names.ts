import { createHash } from 'node:crypto'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { UserHome } from './user-resources.ts'

const base32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** `metadata.name` of a user: usernames are case-sensitive and may have an underscore, names of objects not. */
export function resourceNameOf(organization: string, username: string): string {
  const digest = createHash('sha256').update(`${organization}\0${username}`).digest()
  // 130 bits: nobody finds two usernames of one name.
  const text = [...digest.subarray(0, 26)].map((byte) => base32[byte & 31]).join('')
  return `user-${text}`
}

/** Where an organization has its users. */
export function homeOf({ source }: OrganizationRecord): UserHome {
  const [namespace = '', organization = ''] = source.split('/')
  return { namespace, organization }
}
