import { createHash } from 'node:crypto'

/** `org_` and twelve characters of `[a-z2-7]`, e.g. `org_k7xm4pqr2n5t`. The isolation boundary of everything. */
export type OrganizationId = `org_${string}`

export const shortIdPattern = '^[a-z2-7]{12}$'

const shortId = new RegExp(shortIdPattern)
const base32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** The id made of a short id as it stands in `spec.shortId`; undefined when it is not one. */
export function organizationIdOf(shortIdText: string): OrganizationId | undefined {
  return shortId.test(shortIdText) ? `org_${shortIdText}` : undefined
}

/** Reads `org_…`; undefined when the text is anything else. Case matters. */
export function parseOrganizationId(text: string): OrganizationId | undefined {
  return text.startsWith('org_') ? organizationIdOf(text.slice(4)) : undefined
}

/**
 * The short id an Organization gets when it brings none: derived from what names it, so that a lost
 * `spec.shortId` comes back as the same id and no client's username changes.
 *
 * @returns twelve characters of `[a-z2-7]` (60 bits of SHA-256, base32 of RFC 4648 §6 in lower case)
 */
export function deriveShortId(installation: string, namespace: string, name: string): string {
  const digest = createHash('sha256').update(`${installation}|${namespace}|${name}`).digest()
  let text = ''
  for (let index = 0; index < 12; index++) text += base32[(digest[index] ?? 0) & 31]
  return text
}
