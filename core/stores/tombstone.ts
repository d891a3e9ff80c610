import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * What stands in the place of an organization's record once that is gone, from the same moment on, until brokers have
 * removed what the organization has left and nobody can write there any more. It outlives the control log: whoever was
 * away finds it. An organization of the same short id takes its place.
 */
export interface Tombstone {
  readonly organization: OrganizationId
  /** Of this deletion; one of the same organization later has another. */
  readonly id: string
  /** When it went, in ms of the store's clock. */
  readonly at: number
  /** Sessions and retained messages wait for an organization of the same short id; its credentials do not. */
  readonly retains: boolean
}

/** As a store keeps it. */
export function formatTombstone({ id, retains }: Pick<Tombstone, 'id' | 'retains'>): string {
  return `${id} ${retains ? 'retain' : 'delete'}`
}

/** An id is the time of the deletion in µs. Undefined for what is no tombstone. */
export function parseTombstone(organization: OrganizationId, text: string): Tombstone | undefined {
  const [, id, policy] = /^(\d{1,17}) (retain|delete)$/.exec(text) ?? []
  if (id === undefined) return undefined
  return { organization, id, at: Math.floor(Number(id) / 1_000), retains: policy === 'retain' }
}
