import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { Transport } from './transport.ts'

/**
 * May this connection be of that organization, seen from where its page came? Browsers always send an Origin,
 * so that a foreign page can not use a password it has got hold of; whatever else sends none is not asked.
 */
export function isOriginAllowed(
  { origin }: Pick<Transport, 'origin'>,
  { webSocketOrigins }: OrganizationRecord,
): boolean {
  return origin === undefined || webSocketOrigins === undefined || webSocketOrigins.includes(origin)
}
