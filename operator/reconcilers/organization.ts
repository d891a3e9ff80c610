import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { durationSeconds } from '#core/resources/fields.ts'
import { defaultTtl, type Organization } from '#core/resources/organization.ts'
import { identityRecordTypes, organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import { isPurged, type PurgeMarks } from '#core/stores/purge-marks.ts'
import type { Tombstone } from '#core/stores/tombstone.ts'
import { missingListRefusal } from './access-readiness.ts'
import { type FoundAuthorities, readClientAuthorities } from './client-authorities.ts'
import type { ResourceHost } from './host.ts'
import { type Decision, type KindReconciler, lookAgainMs } from './kind-reconciler.ts'
import { isSame, type OrganizationFinder } from './organization-finder.ts'
import { notReady, type Readiness, readyReasonOf, synced } from './readiness.ts'
import type { ResourceAddress, ResourceName } from './reconciler.ts'
import type { RecordLedger } from './record-ledger.ts'
import { addressOf, membersOf, namesOf } from './references.ts'

export interface OrganizationParts {
  readonly host: ResourceHost
  readonly store: Pick<IdentityWriter, 'names' | 'tombstoneOf'>
  readonly purges: Pick<PurgeMarks, 'of' | 'hasBroker'>
  readonly ledger: RecordLedger
  readonly finder: OrganizationFinder
}

export interface OrganizationFacts {
  readonly id: OrganizationId
  /** The one that has the short id. */
  readonly holder: Organization
  /** Of one that had the short id and is gone, while brokers have not removed what it has left. */
  readonly former: Tombstone | undefined
  readonly listRefusal: Readiness | undefined
  readonly authorities: FoundAuthorities
}

export function organizationReconciler({
  host,
  store,
  purges,
  ledger,
  finder,
}: OrganizationParts): KindReconciler<'Organization', OrganizationFacts> {
  const unpurged = async (id: OrganizationId): Promise<Tombstone | undefined> => {
    const tombstone = await store.tombstoneOf(id)
    return tombstone === undefined || isPurged(await purges.of(id), tombstone) ? undefined : tombstone
  }
  const holdsClaim = (organization: Organization): boolean =>
    isSame(finder.holderOf(finder.idOf(organization)), organization)
  return {
    kind: 'Organization',
    needsFinalizer: true,
    claimOf: (organization) => ({
      type: 'organization',
      organization: finder.idOf(organization),
      name: organizationRecordName,
    }),
    holdsClaim,

    async gather(organization) {
      const id = finder.idOf(organization)
      if (organization.spec.shortId === undefined && holdsClaim(organization)) {
        await host.pinShortId(organization, id.slice('org_'.length))
      }
      const former = await unpurged(id)
      return {
        id,
        holder: finder.holderOf(id) ?? organization,
        former,
        // One that waits is looked at twice a second.
        authorities: former === undefined ? await readClientAuthorities(host, organization) : { found: [] },
        listRefusal: missingListRefusal(host, organization, namesOf(organization.spec.defaultAccessListRefs)),
      }
    },

    decide: decideOrganization,

    // The record went first, which refuses everybody at once; the rest may take its time.
    async afterRemoval({ organization }) {
      const isOrphan = (): boolean => !isAlive(finder.holderOf(organization))
      for (const type of identityRecordTypes) {
        for (const name of await store.names(type, organization)) {
          await ledger.removeOrphan({ type, organization, name }, isOrphan)
        }
      }
    },

    async awaits(organization) {
      if (!holdsClaim(organization) || (await unpurged(finder.idOf(organization))) === undefined)
        return undefined
      return (await purges.hasBroker()) ? notReady('Purging', purging('it')) : undefined
    },

    dependents: (of) => organizationDependents(host, finder, of),
  }
}

const purging = (whose: string): string =>
  `a broker removes what ${whose} has left: connections, credentials, and sessions and messages where deletionPolicy says so`

function decideOrganization(
  organization: Organization,
  { id, holder, former, listRefusal, authorities }: OrganizationFacts,
): Decision<'Organization'> {
  if (!isSame(holder, organization)) {
    const { namespace, name } = holder.metadata
    const message = `Organization ${namespace}/${name} is older and holds ${id}: make a new one with another shortId`
    return { record: 'release', ready: notReady('ShortIdConflict', message), status: {} }
  }
  if (former !== undefined) {
    const ready = notReady('Purging', purging(`the former Organization of ${id}`))
    return { record: 'keep', ready, status: { shortId: id }, againAfterMs: lookAgainMs }
  }
  const suspended =
    organization.spec.suspended === true
      ? notReady('Suspended', 'every connection and exchange is refused: spec.suspended is true')
      : undefined
  return {
    record: organizationRecord(organization, authorities.found),
    ready: suspended ?? authorities.refusal ?? listRefusal ?? synced(`users sign in as name@${id}`),
    status: { shortId: id },
  }
}

function isAlive(organization: Organization | undefined): boolean {
  return organization !== undefined && organization.metadata.deletionTimestamp === undefined
}

function organizationRecord(
  { metadata, spec }: Organization,
  clientAuthorities: readonly string[],
): OrganizationRecord {
  const { credentials = {}, exchange = {}, limits = {} } = spec
  const maxTtl = durationSeconds(credentials.maxTtl ?? defaultTtl)
  return {
    source: `${metadata.namespace}/${metadata.name}`,
    ...(spec.displayName === undefined ? {} : { displayName: spec.displayName }),
    suspended: spec.suspended ?? false,
    defaultLists: namesOf(spec.defaultAccessListRefs),
    credentials: {
      defaultTtl: durationSeconds(credentials.defaultTtl ?? defaultTtl),
      maxTtl,
      maxLifetime: credentials.maxLifetime === undefined ? maxTtl : durationSeconds(credentials.maxLifetime),
    },
    exchange: {
      anonymous: exchange.anonymous ?? false,
      ...(exchange.public === undefined ? {} : { public: publicExchange(exchange.public) }),
    },
    sessionMaxExpiry: durationSeconds(spec.sessions?.maxExpiry ?? '24h'),
    limits,
    willOnExpiry: spec.willOnExpiry ?? 'publish',
    durability: spec.durability ?? 'stored',
    ...(clientAuthorities.length === 0 ? {} : { clientAuthorities: [...clientAuthorities] }),
    ...(spec.deletionPolicy === 'Retain' ? { retain: true } : {}),
    ...(spec.webSocketOrigins === undefined ? {} : { webSocketOrigins: spec.webSocketOrigins }),
  }
}

function publicExchange({
  origins,
  limits,
}: NonNullable<NonNullable<Organization['spec']['exchange']>['public']>): NonNullable<
  OrganizationRecord['exchange']['public']
> {
  return { origins, ...(limits?.perMinute === undefined ? {} : { perMinute: limits.perMinute }) }
}

/**
 * Its members, and the Organizations that want the same short id with theirs: when the holder goes, another
 * one gets it without a change of its own.
 */
function organizationDependents(
  host: ResourceHost,
  finder: OrganizationFinder,
  of: ResourceName,
): ResourceAddress[] {
  const changed = host.get('Organization', of.namespace, of.name)
  const rivals = host
    .list('Organization')
    .filter((other) => other.metadata.namespace !== of.namespace || other.metadata.name !== of.name)
    .filter(
      (other) =>
        readyReasonOf(other) === 'ShortIdConflict' ||
        (changed !== undefined && finder.idOf(other) === finder.idOf(changed)),
    )
  return [
    ...membersOf(host, of),
    ...rivals.flatMap((rival) => [addressOf('Organization', rival), ...membersOf(host, rival.metadata)]),
  ]
}
