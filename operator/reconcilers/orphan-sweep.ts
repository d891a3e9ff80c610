import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { isDomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { type ResourceKindName, resourceKindNames, type ResourceOf } from '#core/resources/index.ts'
import {
  type IdentityRecordType,
  identityRecordTypes,
  organizationRecordName,
} from '#core/stores/identity-records.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import type { ResourceHost } from './host.ts'
import { recordTypes } from './kind-reconciler.ts'
import { recordInForce } from './record-in-force.ts'
import { keyOfRecord, type RecordAddress, type RecordLedger } from './record-ledger.ts'
import { type BrakeLimits, type HeldRemoval, judgeOrphans, type OrganizationOrphans } from './sweep-brake.ts'
import type { SweepHistory } from './sweep-history.ts'

export interface SweepParts {
  readonly host: Pick<ResourceHost, 'list'>
  readonly store: Pick<IdentityWriter, 'organizations' | 'names' | 'get'>
  readonly ledger: RecordLedger
  readonly claimOf: <K extends ResourceKindName>(
    kind: K,
    resource: ResourceOf[K],
  ) => RecordAddress | undefined
  readonly limits: BrakeLimits
  /** Kinds that were removed, and when an object was last lost by that. */
  readonly doubts: Map<ResourceKindName, number>
  readonly now: Clock
  readonly history: SweepHistory
  readonly log: Log
}

export interface SweepOutcome {
  readonly removed: number
  /** What the brake keeps. */
  readonly held?: HeldRemoval
}

const atOnce = 50
const shortestDoubtMs = 600_000

/**
 * Removes records that no object stands for: of what was deleted while no operator ran, or could not be removed when
 * it was. Call it only when the host has shown everything and each object was reconciled. More than the limits allow
 * stays until `isConfirmed` says yes to its token. A record that can not be removed stands in the way of no other;
 * only when the store is away does it reject.
 */
export async function sweepOrphans(
  parts: SweepParts,
  isConfirmed: (token: string) => boolean,
): Promise<SweepOutcome> {
  const claims = claimsOf(parts)
  const { condemned, found } = await gather(parts, claims)
  const { remove, confirmed, held } = judgeOrphans(found, parts.limits, isConfirmed)
  const removed = await removeAll(parts, claims, [...condemned, ...remove, ...confirmed])
  for (const { organization } of remove) parts.history.add(organization)
  if (held === undefined) settleDoubts(parts)
  return held === undefined ? { removed } : { removed, held }
}

interface Found {
  readonly found: OrganizationOrphans[]
  /** Of objects that somebody did delete: they need no second opinion. */
  readonly condemned: RecordAddress[]
}

async function gather(parts: SweepParts, claims: Claims): Promise<Found> {
  const all: { organization: OrganizationId; addresses: RecordAddress[] }[] = []
  for (const organization of await parts.store.organizations()) {
    const addresses = await Promise.all(
      identityRecordTypes.map(async (type) =>
        (await parts.store.names(type, organization)).map((name) => ({ type, organization, name })),
      ),
    )
    all.push({ organization, addresses: addresses.flat() })
  }
  // Read after the names: what was written before them is claimed by now, or has gone again.
  const claimed = claims()
  const doubted = new Set([...parts.doubts.keys()].map((kind) => recordTypes[kind] as IdentityRecordType))
  const recent = parts.history.recent()
  const found: OrganizationOrphans[] = []
  const condemned: RecordAddress[] = []
  for (const { organization, addresses } of all) {
    const home = { type: 'organization', organization, name: organizationRecordName } as const
    const unclaimed = addresses.filter((address) => !claimed.has(keyOfRecord(address)))
    const isCondemned = (address: RecordAddress): boolean =>
      parts.ledger.isCondemned(address) || parts.ledger.isCondemned(home)
    condemned.push(...unclaimed.filter(isCondemned))
    const doubtful = unclaimed.filter((address) => !isCondemned(address))
    const orphans = claimed.has(keyOfRecord(home)) ? await withoutRetained(parts.store, doubtful) : doubtful
    found.push({
      organization,
      records: addresses.length,
      orphans,
      removedBefore: recent.get(organization) ?? 0,
      isDoubtful: orphans.some(({ type }) => doubted.has('organization') || doubted.has(type)),
    })
  }
  return { found, condemned }
}

/** Nothing of it is missing any more, or somebody has confirmed it, and the kind has been back for a while. */
function settleDoubts({ doubts, host, now }: SweepParts): void {
  for (const [kind, since] of doubts) {
    if (now() - since > shortestDoubtMs && host.list(kind).length > 0) doubts.delete(kind)
  }
}

type Claims = () => ReadonlySet<string>

/** Keys of the records that objects stand for, counted once in a turn of the event loop. */
function claimsOf({ host, claimOf }: Pick<SweepParts, 'host' | 'claimOf'>): Claims {
  let known: ReadonlySet<string> | undefined
  return () => {
    if (known === undefined) {
      const addresses = resourceKindNames.flatMap((kind) =>
        host.list(kind).map((resource) => claimOf(kind, resource as never)),
      )
      known = new Set(addresses.filter((address) => address !== undefined).map(keyOfRecord))
      setImmediate(() => (known = undefined))
    }
    return known
  }
}

async function removeAll(
  { ledger, log }: SweepParts,
  claims: Claims,
  addresses: readonly RecordAddress[],
): Promise<number> {
  let removed = 0
  const removeOne = async (address: RecordAddress): Promise<void> => {
    try {
      if (await ledger.removeOrphan(address, () => !claims().has(keyOfRecord(address)))) removed += 1
    } catch (error) {
      if (isDomainError(error, 'store-unavailable')) throw error
      log.error(
        { ...errorFields(error), ...address },
        'a record that no object stands for can not be removed',
      )
    }
  }
  for (let start = 0; start < addresses.length; start += atOnce) {
    await Promise.all(addresses.slice(start, start + atOnce).map(removeOne))
  }
  return removed
}

/** Without the users whose resource said that they should stay. */
async function withoutRetained(
  store: Pick<IdentityWriter, 'get'>,
  addresses: readonly RecordAddress[],
): Promise<RecordAddress[]> {
  const isRetained = await Promise.all(addresses.map((address) => retains(store, address)))
  return addresses.filter((_, index) => isRetained[index] !== true)
}

async function retains(
  store: Pick<IdentityWriter, 'get'>,
  { type, organization, name }: RecordAddress,
): Promise<boolean> {
  if (type !== 'user') return false
  const record = await recordInForce(store, { type, organization, name })
  return record !== 'damaged' && record?.retain === true
}
