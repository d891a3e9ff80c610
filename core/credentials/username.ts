import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'

/** An MQTT username taken apart: `sensor_01@org_k7xm4pqr2n5t`. */
export interface Username {
  /** Case-sensitive, unique in its organization. */
  readonly local: string
  readonly organization: OrganizationId
}

export const localPartPattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'

/** Local parts of temporary credentials begin with this; a permanent user may not. */
export const temporaryPrefix = 'tmp_'

const localPart = new RegExp(localPartPattern)

export function isLocalPart(text: string): boolean {
  return localPart.test(text)
}

export function isTemporary(local: string): boolean {
  return local.startsWith(temporaryPrefix)
}

/** Splits at the LAST `@`. Undefined for everything that is not exactly `<local>@<organization id>`. */
export function parseUsername(text: string): Username | undefined {
  const at = text.lastIndexOf('@')
  if (at < 1) return undefined
  const local = text.slice(0, at)
  const organization = parseOrganizationId(text.slice(at + 1))
  return organization !== undefined && isLocalPart(local) ? { local, organization } : undefined
}

export function formatUsername({ local, organization }: Username): string {
  return `${local}@${organization}`
}
