import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RoutedMessage } from '../aedes/messages.ts'

/**
 * Carries messages between replicas, each organization's apart from every other's. What was sent by this
 * replica does not come back.
 */
export interface Bus {
  /** Names this replica in every message it sends: aedes' `brokerId`. */
  readonly replica: string
  /**
   * From when it resolves, every message that other replicas send of this organization is received, until what
   * it resolves with is called. A second one of the same organization takes the place of the first.
   */
  join(organization: OrganizationId, receive: (message: RoutedMessage) => void): Promise<Leave>
  /** Resolves once the message is on its way; rejects when it is not. */
  send(organization: OrganizationId, message: RoutedMessage): Promise<void>
}

export type Leave = () => void
