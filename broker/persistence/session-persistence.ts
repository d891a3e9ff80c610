import type { Message, RoutedMessage } from '../aedes/messages.ts'
import type { FoundSession, SessionMark } from './session-mark.ts'

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
  /** MQTT 5 §3.8.2.1.2 */
  readonly subscriptionIdentifier?: number
}

/** A subscription of a stored session, as aedes passes it from matching to queueing. */
export interface MatchingSubscription extends StoredSubscription {
  readonly clientId: string
}

/** A member of a group, and the replica that it is connected to. */
export interface Turn {
  readonly id: string
  readonly replica: string
}

/** What a connection finds of its session. */
export interface OpenedSession {
  /** There was one already: Session Present [MQTT-3.2.2-2]. */
  readonly isPresent: boolean
  /** Names this opening: a later one of the same session makes it void. */
  readonly epoch: string
  readonly subscriptions: readonly StoredSubscription[]
  /** Packet ids of QoS 2 messages that the client sent and has not released. */
  readonly incoming: readonly number[]
  /** Messages that were sent to the client and not acknowledged. */
  readonly sent: readonly SentMessage[]
}

export interface SentMessage {
  /** Which message of the queue: `messageName`. */
  readonly name: string
  readonly messageId: number
}

/** One message of a session's queue, in the order in which they came. */
export interface QueuedMessage {
  readonly name: string
  /** Redis' time of its arrival, in ms. */
  readonly storedAt: number
  /** Absent when its time is over (MQTT 5 §3.3.2.3.3) and when only PUBREL is left to say. */
  readonly message?: RoutedMessage
  /** Set when it was sent before, under this packet id. */
  readonly messageId?: number
  /** The client has it: PUBREL is next [MQTT-4.3.3-4]. */
  readonly isReleased: boolean
}

export interface QueuePage {
  readonly messages: readonly QueuedMessage[]
  /** Where the next page begins. */
  readonly next: string
  /** Nothing was waiting behind this page when it was read. */
  readonly isLast: boolean
  /** The store's time, in ms. */
  readonly now: number
}

/**
 * What became of a queued message: `sent` under a packet id, `received` (PUBREC), `done` (PUBACK, PUBCOMP, or
 * no longer wanted). Of one that is not in the queue nothing is remembered.
 */
export interface QueueStep {
  readonly kind: 'sent' | 'received' | 'done'
  readonly name: string
  readonly messageId: number
}

/** What an organization may keep. Whoever was admitted last brings the newest. */
export interface PersistenceLimits {
  /** Messages in the queue of one session; the newest is dropped. */
  readonly queued: number
  /** Retained messages of the organization. */
  readonly retained: number
  /** What a publisher waits for has to be in a replica of Redis too; in memory there is none. */
  readonly isReplicated: boolean
  /** Told of messages that did not go into a full queue. */
  readonly onDropped?: (count: number) => void
}

export const defaultPersistenceLimits: PersistenceLimits = {
  queued: 10_000,
  retained: Infinity,
  isReplicated: false,
}

/** Rejection of `storeRetained`: the organization keeps as many as it may; a topic that has one may change it. */
export class RetainedQuotaError extends Error {
  constructor() {
    super('the organization keeps as many retained messages as it may')
    this.name = 'RetainedQuotaError'
  }
}

/** A message among all of its organization: aedes gives each one a replica and a number. */
export function messageName({ brokerId, brokerCounter }: RoutedMessage): string {
  return `${brokerId}:${brokerCounter}`
}

/** What aedes calls, and the package's own classes have. */
export interface PackagePersistence {
  /** Called once, with aedes itself. Loads the subscriptions of all sessions, in pages. */
  setup(broker: unknown): Promise<void>
  /** Ends timers. What is stored stays. */
  destroy(): Promise<void>

  /** An empty payload removes. May reject with RetainedQuotaError. */
  storeRetained(message: RoutedMessage): Promise<void>
  /** Retained messages that match, read in pages at the pace of the reader; costs what it finds. */
  createRetainedStreamCombi(filters: readonly string[]): AsyncIterable<Message>

  /** Replaces those of the same filters. Rejects when there is no such session. */
  addSubscriptions(owner: SessionOwner, subscriptions: readonly StoredSubscription[]): Promise<void>
  removeSubscriptions(owner: SessionOwner, filters: readonly string[]): Promise<void>
  /** Of stored sessions, from memory. Never rejects: aedes would leave the publisher waiting. */
  subscriptionsByTopic(topic: string): Promise<MatchingSubscription[]>
  /**
   * Puts a message into the queue of every session that these subscriptions, and those made meanwhile on other
   * replicas, belong to, at the highest QoS granted. A second round trip only when there are such.
   */
  outgoingEnqueueCombi(subscriptions: readonly MatchingSubscription[], message: RoutedMessage): Promise<void>
}

/**
 * Groups of shared subscriptions (MQTT 5 §4.8.2). A session is a member through a subscription to
 * `$share/<name>/<filter>`. Of each message above QoS 0 that matches, one member gets a copy into its queue, in
 * turn: one that is connected if there is any, otherwise the first that is. What a member leaves behind goes to
 * another: all of it but QoS 2 messages that it was sent already [MQTT-4.8.2-5]. Members hear by `Summons` that
 * their queue was put something into.
 */
export interface GroupPersistence {
  /** Groups whose filter matches, as far as is known here. */
  groupsOf(topic: string): readonly string[]
  /** Whose turn it is, for a message that no queue holds; undefined when no member is connected. */
  turnOf(group: string): Promise<Turn | undefined>
  /** Others may have taken this session's replica for gone. False when the session has ended or is another's. */
  returnToGroups(owner: SessionOwner, epoch: string): Promise<boolean>
  /** A replica is gone without a word: its members leave their groups. Again does no harm. */
  leaveForReplica(replica: string): Promise<void>
}

/**
 * Sessions, queues and retained messages of one organization. Every promise rejects when the store does not
 * answer; then nothing may be acknowledged. All of a method's work is one round trip unless it says otherwise.
 *
 * A session is there from `openSession` until `expirySeconds` after `closeSession`, whether it has
 * subscriptions or not. One whose replica died ends a lease later than that. Everything of it has a time to
 * live, so that nothing stays of an organization that nobody serves.
 *
 * A full queue takes no more: what was promised first stays, in order and without a hole, and a handshake under
 * way is never cut. It is also what mosquitto and, by default, HiveMQ do.
 */
export interface SessionPersistence extends PackagePersistence, GroupPersistence {
  configure(limits: PersistenceLimits): void
  /** Whether messages above QoS 0 of this topic go into a queue, as far as is known here. */
  isQueued(topic: string): boolean
  /** Resolves once all stored subscriptions of this moment are known here. */
  catchUp(): Promise<void>

  /**
   * `clean` ends a former session first, and so does a mark that says that it was somebody else's. The newest opening
   * of a session owns it.
   */
  openSession(
    owner: SessionOwner,
    clean: boolean,
    expirySeconds: number,
    mark?: SessionMark,
  ): Promise<OpenedSession>
  /** The connection is gone: the session ends `expirySeconds` later. Nothing when it was opened again. */
  closeSession(owner: SessionOwner, epoch: string, expirySeconds: number): Promise<void>
  /** Ends the session if there is one, and none later than `epoch` where that is given. */
  endSession(owner: SessionOwner, epoch?: string): Promise<void>
  /** Sessions whose id begins so, behind `after` ('' is the beginning), by their ids. Opens nothing. */
  findSessions(prefix: string, after: string, count: number): Promise<readonly FoundSession[]>

  /** What waits after `after` ('' is the beginning), oldest first. At most `count`, fewer when they are large. */
  outgoingPage(owner: SessionOwner, after: string, count: number): Promise<QueuePage>
  /** In this order. */
  outgoingApply(owner: SessionOwner, steps: readonly QueueStep[]): Promise<void>

  /** QoS 2: a packet id that was taken and waits for PUBREL. */
  incomingStore(owner: SessionOwner, messageId: number): Promise<void>
  incomingForget(owner: SessionOwner, messageId: number): Promise<void>
}
