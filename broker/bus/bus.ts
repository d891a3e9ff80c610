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
   * From when it resolves until what it resolves with is called, every message that other replicas send of this
   * organization is received: those of one sender in their order, once, also across a lost connection. A second
   * one of the same organization takes the place of the first.
   */
  join(
    organization: OrganizationId,
    receive: Receive,
    lost?: Lost,
    isServedElsewhere?: IsServedElsewhere,
  ): Promise<Leave>
  /** What others send of it does not arrive right now, and is made up for later. */
  isCutOff(organization: OrganizationId): boolean
  /**
   * Resolves once the message is on its way; rejects when that is not certain. Undefined when there is nobody
   * to send it to.
   */
  send(organization: OrganizationId, message: RoutedMessage): Promise<void> | undefined
}

export type Receive = (message: RoutedMessage) => void

/**
 * Told that so many batches of messages can not be had any more, or that there may be such, with 0: of a sender
 * that is gone nobody knows. What is stored has to serve instead.
 */
export type Lost = (batches: number) => void

/**
 * Whether a replica that lives, beside this one, has clients of the organization, or may have some. Asked
 * before nothing is sent because nobody listens; without it everything is sent.
 */
export type IsServedElsewhere = () => Promise<boolean>

export type Leave = () => void
