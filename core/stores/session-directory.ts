import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * Messages and openings of sessions get numbers in their order of arrival that also say when that was: so many for each
 * ms since the epoch.
 */
export const numbersPerMs = 2_048

/** A connection, as the replica that has it tells of it when it is let in. */
export interface ConnectionAbout {
  readonly address: string
  /** The listener: mqtts, wss, mqtt, ws. */
  readonly listener: string
  /** Of MQTT: 3, 4 or 5. */
  readonly version: number
  /** Id of the temporary credential that it signed in with; absent for permanent users. */
  readonly credential?: string
  /** Up to a hundred, where the session ends with the connection; as of a second ago. */
  readonly subscriptions?: readonly string[]
}

/** A connection now, in the whole cluster. */
export interface LiveConnection extends Partial<ConnectionAbout> {
  readonly replica: string
  /** Ms since the epoch. */
  readonly since: number
}

/** What outlives the connection. */
export interface StoredSessionState {
  /** Ms since the epoch. */
  readonly openedAt: number
  /** When it is forgotten, in ms since the epoch, unless its client connects again. */
  readonly endsAt: number
  readonly subscriptions: readonly string[]
  /** Messages above QoS 0 that wait or are under way. */
  readonly queued: number
}

/** A client that is connected, or whose session waits for it; often both. */
export interface SessionEntry {
  /** `<principal>/<client id>` */
  readonly id: string
  readonly connection?: LiveConnection
  readonly stored?: StoredSessionState
}

export interface SessionPage {
  readonly sessions: readonly SessionEntry[]
  /** Given as `after` for the next page; absent on the last one. */
  readonly next?: string
}

/** The sessions of an organization, as the brokers have written them down. Rejects with `store-unavailable`. */
export interface SessionDirectory {
  /** By id, behind `after` ('' is the beginning), of those that begin with `prefix`. */
  list(organization: OrganizationId, prefix: string, after: string, limit: number): Promise<SessionPage>
  /** Undefined when it is neither connected nor stored. */
  find(organization: OrganizationId, id: string): Promise<SessionEntry | undefined>
}
