/** What one connection may cost. Organizations and users narrow it. */
export interface Limits {
  /** Until CONNECT has arrived whole. */
  readonly connectTimeoutMs: number
  /** After CONNECT, a client is told no sooner that its name or password is wrong. */
  readonly refusalMs: number
  /** The same, where there were too many attempts. */
  readonly throttledMs: number
  /** Connections of one address at a time that have not signed in yet. */
  readonly maxNewcomers: number
  /** Of all addresses together: more than these would not get their turn in time either. */
  readonly maxNewcomersOfAll: number
  /**
   * Longest that a client may stay silent; MQTT 5 clients that ask for more, or for no limit, are told so
   * (§3.2.2.3.14). 3.1.1 has no word for it.
   */
  readonly maxKeepAliveSeconds: number
  /** Of the CONNECT packet, its will included: it comes from somebody unknown. */
  readonly maxConnectBytes: number
  /** Of any later packet. */
  readonly maxPacketBytes: number
  readonly maxTopicLevels: number
  /** How long, when the broker shuts down, the will of a client waits for it to come back elsewhere. */
  readonly deferredWillSeconds: number
  /** How long a client that is sent away then may take to acknowledge what it was sent. */
  readonly retireMs: number
  /** How long before its credential ends a client is told, where that is less than a tenth of its life. */
  readonly expiryNoticeMs: number
  readonly maxSubscriptions: number
  /** Topic aliases of one connection, each way (MQTT 5 §3.3.2.3.4). */
  readonly maxTopicAliases: number
  /** Messages of QoS 1 and 2 on their way to a client at a time. */
  readonly maxInflight: number
  /** QoS 1 messages of a client on their way into the store at a time; beyond, reading stops until they are. */
  readonly maxPublishing: number
  /** Messages of QoS 1 and 2 that wait for that window; beyond, the client is too slow. */
  readonly maxWaiting: number
  /** Packets read but not handled yet; beyond, reading stops until they are. */
  readonly maxQueuedPackets: number
  /** Bytes a client has not taken: above, QoS 0 messages for it are dropped. */
  readonly dropAboveBytes: number
  /** Above, it is disconnected. */
  readonly disconnectAboveBytes: number
}

export const defaultLimits: Limits = {
  connectTimeoutMs: 10_000,
  refusalMs: 100,
  throttledMs: 1_000,
  maxNewcomers: 10_000,
  maxNewcomersOfAll: 20_000,
  maxKeepAliveSeconds: 3_600,
  maxConnectBytes: 65_536,
  maxPacketBytes: 1_048_576,
  maxTopicLevels: 100,
  deferredWillSeconds: 15,
  retireMs: 1_000,
  expiryNoticeMs: 300_000,
  maxSubscriptions: 1_000,
  maxTopicAliases: 10,
  maxInflight: 1_000,
  maxPublishing: 256,
  maxWaiting: 10_000,
  maxQueuedPackets: 64,
  dropAboveBytes: 1_048_576,
  disconnectAboveBytes: 8_388_608,
}
