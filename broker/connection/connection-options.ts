import type { Audit } from '#core/audit/audit.ts'
import type { Clock } from '#core/clock.ts'
import type { RenewalDependencies } from '#core/credentials/renew-credential.ts'
import type { Log } from '#core/process/logger.ts'
import type { ConnectThrottle } from '../admission/connect-throttle.ts'
import type { ClientAuthorities } from '../admission/client-authorities.ts'
import type { Admissions } from '../admission/admissions.ts'
import type { ClientRegistry } from '../cluster/client-registry.ts'
import type { WillPublisher } from '../cluster/will-publisher.ts'
import type { StalenessWatch } from '../control/staleness-watch.ts'
import type { Denials } from '../denials.ts'
import type { FormerPasswords } from '../former-passwords.ts'
import type { Limits } from '../limits.ts'
import type { BrokerMetrics } from '../metrics.ts'
import type { OrganizationPool } from '../organizations/organization-pool.ts'
import type { Connection } from './connection.ts'
import type { FrameCache } from './frame-cache.ts'
import type { LiveConnections } from './live-connections.ts'
import type { ToldSubscriptions } from '../cluster/told-subscriptions.ts'
import type { Newcomers } from './newcomers.ts'

/** What all connections of a broker share. */
export interface ConnectionOptions {
  readonly admissions: Admissions
  /** Of client certificates. */
  readonly authorities: ClientAuthorities
  readonly organizations: OrganizationPool
  /** Clients of all replicas. */
  readonly clients: ClientRegistry
  readonly wills: WillPublisher
  /** For clients that ask for it over their own connection. */
  readonly renewals: RenewalDependencies
  readonly live: LiveConnections<Connection>
  readonly limits: Limits
  readonly metrics: BrokerMetrics
  readonly denials: Denials
  readonly formerPasswords: FormerPasswords
  readonly frames: FrameCache
  readonly told: ToldSubscriptions
  readonly newcomers: Newcomers
  readonly throttle: ConnectThrottle
  /** Whether this replica may serve anybody. */
  readonly watch: Pick<StalenessWatch, 'isStale'>
  /** Where MQTT 5 clients are told to go when this broker shuts down. */
  readonly serverReference?: string
  readonly log: Log
  readonly audit: Audit
  /** The stores' time: expiry is theirs. */
  readonly now: Clock
  /** Told once everything of a connection is undone. */
  readonly gone: (connection: Connection) => void
}
