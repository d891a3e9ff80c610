import type { AuditNature } from '#core/audit/audit-event.ts'
import type { CredentialKind } from '#core/credentials/credential-record.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityRecordType } from './identity-records.ts'

/**
 * Every Redis key outside an organization's messaging; the only place where one is spelled. `{org}` is a hash
 * tag: one slot per organization. What belongs to none has the tag `{all}`: then an organization depends on two
 * nodes of a Cluster at most. Key spaces follow who writes: `id` the operator, `tmp` the token service, `mq`
 * the broker, which also prolongs what is in `tmp`.
 */
export interface RedisKeys {
  /** Hash: record name to record. */
  identity(type: IdentityRecordType, organization: OrganizationId): string
  /** Hash: changes that are written but not yet in the control log. */
  identityOutbox(organization: OrganizationId): string
  /** Highest term of a leader that wrote in the slot of an organization, or of what belongs to none. */
  identityFence(organization: OrganizationId | undefined): string
  /** String that stands for the record of an organization which is gone: see `tombstone.ts`. */
  tombstone(organization: OrganizationId): string
  /** Hash: organization to its tombstone. */
  readonly tombstones: string
  /** Set of organizations that have records. */
  readonly organizations: string
  /** Hash: digest of an API key to `<organization> <name>`. */
  readonly apiKeys: string
  /** There once every record is. */
  readonly epoch: string
  /** String `<issuedAt> <expiresAt> <record>` that expires by itself. */
  credential(organization: OrganizationId, local: string): string
  /** Sorted set: local parts of the live credentials of a principal or a kind, by when they end; ends with the last. */
  credentialsOf(organization: OrganizationId, of: Principal | CredentialKind): string
  /** Hash that ends by itself: credentials that were revoked, of which not all has been told in the control log. */
  untold(organization: OrganizationId): string
  /** String that expires by itself: when a bucket of a rate limit is full again. */
  rate(organization: OrganizationId | undefined, bucket: string): string
  /** String that expires by itself: when an API key was last used, in ms. */
  apiKeyUse(organization: OrganizationId, uid: string): string
  /** String that expires by itself: something has been. */
  mark(organization: OrganizationId, name: string): string
  /** Stream that ends by itself: audit events of a nature. */
  audit(organization: OrganizationId, nature: AuditNature): string
  /** Sorted set: targets of barriers by when they were raised, in ms. */
  barriers(organization: OrganizationId): string
  /** Stream of what changed. */
  readonly control: string
  /** Hash: replica to the position in that stream up to which it has done everything. */
  readonly controlApplied: string
  /** Hash: replica to how many of its connections ended for the entry there. Ends by itself. */
  controlEnded(position: string): string
  /** String that expires by itself: when a user last signed in by a password that was rotated, in ms. */
  formerPassword(organization: OrganizationId, local: string): string
  /** Prefix of everything of an organization. */
  own(organization: OrganizationId): string
  /** Glob that finds everything of these organizations, and may find what is of others. */
  patternOf(organizations: readonly OrganizationId[]): string
  /** Hash: organization that is gone to how far brokers are with what it has left. */
  readonly purges: string
  /** String that expires by itself: the replica that removes what organizations have left. */
  readonly purger: string
  /** Prefix of everything that the broker keeps of an organization. */
  messaging(organization: OrganizationId): string
  /** Channel on which one replica of the broker is told what concerns it alone. */
  busInbox(replica: string): string
  /** Sorted set: replicas of the broker by when their lease ends. */
  readonly replicas: string
  /** Sorted set: replicas whose lease has ended, by when that was noticed; for a minute. */
  readonly goneReplicas: string
  /** Set: organizations of which a replica has, or had, clients. */
  replicaOrganizations(replica: string): string
  /** Sorted set: organizations by when to look for wills that are due. */
  readonly willSchedule: string
}

export const defaultKeyPrefix = 'cs'

export function redisKeys(prefix: string = defaultKeyPrefix): RedisKeys {
  const shared = `${prefix}:{all}`
  return {
    identity: (type, organization) => `${prefix}:{${organization}}:id:${type}`,
    identityOutbox: (organization) => `${prefix}:{${organization}}:id:outbox`,
    identityFence: (organization) =>
      organization === undefined ? `${shared}:id:fence` : `${prefix}:{${organization}}:id:fence`,
    tombstone: (organization) => `${prefix}:{${organization}}:id:tombstone`,
    tombstones: `${shared}:id:tombstones`,
    organizations: `${shared}:id:organizations`,
    apiKeys: `${shared}:id:api-keys`,
    epoch: `${shared}:id:epoch`,
    credential: (organization, local) => `${prefix}:{${organization}}:tmp:${local}`,
    credentialsOf: (organization, of) => `${prefix}:{${organization}}:tmp:of:${of}`,
    untold: (organization) => `${prefix}:{${organization}}:tmp:untold`,
    rate: (organization, bucket) =>
      organization === undefined
        ? `${shared}:tmp:rate:${bucket}`
        : `${prefix}:{${organization}}:tmp:rate:${bucket}`,
    mark: (organization, name) => `${prefix}:{${organization}}:tmp:mark:${name}`,
    audit: (organization, nature) => `${prefix}:{${organization}}:tmp:audit:${nature}`,
    apiKeyUse: (organization, uid) => `${prefix}:{${organization}}:tmp:used:${uid}`,
    barriers: (organization) => `${prefix}:{${organization}}:tmp:barriers`,
    control: `${shared}:control`,
    controlApplied: `${shared}:mq:control:applied`,
    controlEnded: (position) => `${shared}:mq:control:ended:${position}`,
    formerPassword: (organization, local) => `${prefix}:{${organization}}:mq:former-password:${local}`,
    own: (organization) => `${prefix}:{${organization}}:`,
    patternOf: (organizations) => {
      const named = organizations.length === 1 ? organizations[0] : 'org_*'
      return `${prefix.replaceAll(/[\\*?[\]^-]/g, String.raw`\$&`)}:{${named}}:*`
    },
    purges: `${shared}:mq:purges`,
    purger: `${shared}:mq:purger`,
    messaging: (organization) => `${prefix}:{${organization}}:mq:`,
    busInbox: (replica) => `${shared}:mq:bus:${replica}`,
    replicas: `${shared}:mq:replicas`,
    goneReplicas: `${shared}:mq:gone`,
    replicaOrganizations: (replica) => `${shared}:mq:organizations:${replica}`,
    willSchedule: `${shared}:mq:wills`,
  }
}
