import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { FoundApiKey } from '#core/stores/identity-store.ts'

/** Who asks for something: an organization, by one of its API keys where there is one. */
export interface Caller extends Partial<Pick<FoundApiKey, 'name' | 'record'>> {
  readonly organization: OrganizationId
}

/** A secret key is held by a backend of the organization; everything else lies open in browsers. */
export function isTrusted(caller: Caller | null | undefined): boolean {
  return caller?.record?.type === 'secret'
}

/** The bounds of whatever the caller's key issues. */
export function ceilingsOf({ record }: Caller): string[][] {
  return record?.ceiling === undefined ? [] : [record.ceiling]
}
