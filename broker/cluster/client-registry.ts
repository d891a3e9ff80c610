import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ConnectionAbout } from '#core/stores/session-directory.ts'
import type { Basis } from '../admission/admission.ts'
import type { StoredWill } from './stored-will.ts'

/** Somebody connects as `<principal>/<client id>`. */
export interface Arrival {
  readonly organization: OrganizationId
  readonly id: string
  /** Ends the former session: its will waits no longer. */
  readonly isCleanStart: boolean
  readonly will?: StoredWill
  /** Told to whoever lists sessions. */
  readonly about?: ConnectionAbout
}

/** A connection's hold on its client id. */
export interface Claim {
  readonly arrival: Arrival
  /** Of two claims of one id the one with the higher epoch is the later one. */
  readonly epoch: number
  /** When it was made, in ms since the epoch. */
  readonly since: number
}

export interface Arrived {
  readonly claim: Claim
  readonly former?: DueWill
  /** False when the id certainly has no stored session. */
  readonly mayHaveSession: boolean
  /** Another replica has, or had, the former connection: it has to be told. */
  readonly isElsewhere: boolean
}

/** Why nothing was taken: a record is another one by now, or there are as many connections as there may be. */
export type NotArrived = 'records-changed' | 'organization-full' | 'principal-full'

/** Most connections in the whole cluster. Who takes the id of one that is connected comes in its place. */
export interface ConnectionBounds {
  readonly organization?: number
  readonly principal?: number
}

/** A will that has to be published now. Who holds one publishes it and then settles it, within `claimMs`. */
export interface DueWill {
  readonly organization: OrganizationId
  readonly id: string
  readonly epoch: number
  /** How often it was handed out, this time included. */
  readonly attempts: number
  /** Undefined when what was stored can not be read. */
  readonly will: StoredWill | undefined
}

/** What becomes of the will of a connection that ends. */
export type WillFate =
  | { readonly publish: false }
  /** After its own delay, and after this one at the latest. */
  | { readonly publish: true; readonly atMostSeconds: number }
  /**
   * The replica goes, not the client: no sooner than that, and not at all when the id is taken again before, whoever
   * starts anew or not.
   */
  | { readonly publish: true; readonly atMostSeconds: number; readonly atLeastSeconds: number }

/** A will that was handed out and not settled by then is handed out again: who had it is gone. */
export const claimMs = 30_000

/**
 * Who is connected under which id in the whole cluster, and the wills of those who are. Each will is handed out
 * to exactly one: when its connection has ended and its delay is over, when another connection takes the id, or
 * when the replica of its connection is gone. It is handed out again only when it was not settled in time. What
 * is told at the same moment by two replicas has one order, that of the store, and times are the store's.
 *
 * Promises reject when the store does not answer, unless said otherwise.
 */
export interface ClientRegistry {
  /**
   * Takes the id from whoever has it, in one step with a look at the records that the arrival was judged by and at
   * how many there are. A will of the former connection that may not be cancelled any more (MQTT 5 §3.1.3.2.2) is
   * handed to the caller.
   */
  arrive(arrival: Arrival, basis: Basis, bounds?: ConnectionBounds): Promise<Arrived | NotArrived>
  /** Says again what `arrive` said, after the store may have forgotten it. False when a later claim is known. */
  confirm(claim: Claim): Promise<boolean>
  /** Of a connection that is there: what is told of it from now on. Nothing when its id is another's by now. */
  tell(claim: Claim, about: ConnectionAbout): Promise<void>
  /**
   * The connection has ended. Resolves with its will when the caller has to publish it. Never rejects: what the
   * store did not take is told again later, and its will comes out of `takeDue`.
   */
  leave(claim: Claim, fate: WillFate): Promise<DueWill | undefined>
  /** Hands out some of what is due by now. */
  takeDue(): Promise<readonly DueWill[]>
  /** It was published, or never will be. */
  settle(will: DueWill): Promise<void>
  /** It could not be published now. Never rejects. */
  postpone(will: DueWill): void
}
