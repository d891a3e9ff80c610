import type { OrganizationAedes } from '../aedes/organization-aedes.ts'
import type { Admission } from '../admission/admission.ts'
import type { Claim } from '../cluster/client-registry.ts'
import type { ProtocolVersion } from '../wire/packets.ts'
import type { Delivery } from './delivery.ts'
import type { PublishRate } from './publish-rate.ts'
import type { PublishWindow } from './publish-window.ts'
import type { Subscriptions } from './subscriptions.ts'

/** What a connection is once its CONNECT was accepted. */
export interface Session {
  /** `<principal>/<client id>`, as aedes, the queue and no-local know it. */
  readonly id: string
  readonly clientId: string
  readonly version: ProtocolVersion
  readonly broker: OrganizationAedes
  readonly subscriptions: Subscriptions
  readonly delivery: Delivery
  /** How fast the client publishes. */
  readonly rate: PublishRate
  /** QoS 1 messages of the client on their way into the store. */
  readonly publishing: PublishWindow
  /** Packet ids of QoS 2 messages that were taken and wait for PUBREL. */
  readonly incoming: Set<number>
  /** When it last asked for its credential to be renewed, in ms of the event loop. */
  refreshedAt: number
  /** Replaced when the records change. */
  admission: Admission
  /** Its hold on the client id, and its will, once it has them. */
  claim: Claim | undefined
  /** A session of the same id may be in the store, from before. */
  mayHaveFormer: boolean
  /** Its subscriptions and queue are in the store. */
  readonly isStored: boolean
  /** How long what is in the store outlives the connection. May change with DISCONNECT (MQTT 5 §3.14.2.2.2). */
  expirySeconds: number
  /** Names this opening of what is in the store; without one there is nothing. */
  epoch: string | undefined
}
