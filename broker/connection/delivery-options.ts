import type { Message, RoutedMessage } from '../aedes/messages.ts'
import type { Limits } from '../limits.ts'
import type { BrokerMetrics } from '../metrics.ts'
import type { SessionQueueOptions } from './session-queue.ts'
import type { DeliveryTerms } from './subscriptions.ts'

/** What a delivery needs of its connection. */
export interface DeliveryTarget {
  /** False when the client would not accept a packet of that size; `messageId` is 0 for QoS 0. */
  sendPublish(message: Message, terms: DeliveryTerms, messageId: number, dup: boolean): boolean
  acknowledge(cmd: 'pubrel', messageId: number): void
  /** Bytes that the client has not taken. */
  readonly pending: number
  end(cause: 'too-slow' | 'unavailable'): void
}

/** How a message, or a copy that came by a group, goes to this client now; undefined when it no longer does. */
export type TermsFor = (message: RoutedMessage, group: string | undefined) => DeliveryTerms | undefined

export interface DeliveryOptions {
  readonly target: DeliveryTarget
  readonly limits: Limits
  /** The client's Receive Maximum (MQTT 5 §3.1.2.11.3). */
  readonly receiveMaximum: number
  readonly metrics: BrokerMetrics
  /** Asked for what waited for longer than a moment: access and subscriptions may have changed. */
  readonly termsFor: TermsFor
  /** Where messages above QoS 0 wait for this client; absent for a session that ends with the connection. */
  readonly queue?: SessionQueueOptions
}
