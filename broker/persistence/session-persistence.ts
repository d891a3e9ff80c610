import type { StoredMessage } from '../aedes/messages.ts'

/** Whose session: `<principal>/<client id>`, the id under which aedes knows the connection. */
export interface SessionOwner {
  readonly id: string
}

export interface StoredSubscription {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  /** MQTT 5 §3.8.3.1: retain handling, retain as published, no local. */
  readonly rh?: number
  readonly rap?: boolean
  readonly nl?: boolean
}

/**
 * Sessions, queues and retained messages of one organization: what this broker uses of aedes' persistence
 * contract. Every promise rejects when the store does not answer; nothing is acknowledged then.
 */
export interface SessionPersistence {
  setup(broker: unknown): Promise<void>

  storeRetained(message: StoredMessage): Promise<void>
  createRetainedStreamCombi(filters: readonly string[]): AsyncIterable<StoredMessage>

  addSubscriptions(owner: SessionOwner, subscriptions: readonly StoredSubscription[]): Promise<unknown>
  removeSubscriptions(owner: SessionOwner, filters: readonly string[]): Promise<unknown>
  subscriptionsByClient(owner: SessionOwner): Promise<readonly StoredSubscription[]>
  cleanSubscriptions(owner: SessionOwner): Promise<unknown>

  /** What waits for a client, oldest first. */
  outgoingStream(owner: SessionOwner): AsyncIterable<StoredMessage>
  /** Remembers the packet id that a waiting message was sent with, or that it stands at PUBREL. */
  outgoingUpdate(owner: SessionOwner, message: Partial<StoredMessage>): Promise<unknown>
  outgoingClearMessageId(owner: SessionOwner, message: { readonly messageId: number }): Promise<unknown>

  incomingStorePacket(owner: SessionOwner, message: Partial<StoredMessage>): Promise<unknown>
  /** Rejects when there is none of that id. */
  incomingGetPacket(owner: SessionOwner, message: { readonly messageId: number }): Promise<unknown>
  incomingDelPacket(owner: SessionOwner, message: { readonly messageId: number }): Promise<unknown>
  cleanIncoming(owner: SessionOwner): Promise<unknown>
}
