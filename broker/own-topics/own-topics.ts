import { matches } from '#core/access/topic-filter.ts'

/**
 * Topics between the broker and one connection. They are the connection's own, whatever access lists say, and are known
 * to nobody else: what is sent on them reaches neither aedes, the bus nor a store.
 */
export const ownTopics = {
  /** From the broker: the credential ends soon. */
  expiring: '$cloudsignal/credential/expiring',
  /** To the broker: the credential is to live on. */
  refresh: '$cloudsignal/credential/refresh',
  /** From the broker: what became of that, unless a Response Topic was given (MQTT 5 §4.10). */
  refreshed: '$cloudsignal/credential/refreshed',
} as const

const root = '$cloudsignal/'
const fromBroker = [ownTopics.expiring, ownTopics.refreshed]

/** Whether a filter asks for what the broker tells this connection alone, and for nothing else. */
export function isOwnFilter(filter: string): boolean {
  return filter.startsWith(root) && fromBroker.some((topic) => matches(filter, topic))
}
