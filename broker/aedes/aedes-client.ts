import type { Summons } from '../persistence/summons.ts'
import type { RoutedMessage } from './messages.ts'

/**
 * What aedes asks of a client that it did not make itself. Its own Client is not used: it speaks 3.1.1 only,
 * and its handlers acknowledge before they store.
 */
export interface AedesClient {
  /** `<principal>/<client id>`: unique in the organization. */
  readonly id: string
  readonly clean: boolean
  readonly version: number
  readonly closed: boolean
  /** Aedes forgets another replica's counters here when that replica starts anew. */
  readonly duplicates: Record<string, number>
  /** Called when the same client has connected elsewhere; `done` once it is gone. */
  close(done?: () => void): void
  /** A message of QoS 0 that its group was given, when it is this member's turn. */
  deliverShared(message: RoutedMessage, group: string): void
  /** Something was put into its queue: behind what it knows, or anywhere. */
  lookForShared(why: Summons['why']): void
}
