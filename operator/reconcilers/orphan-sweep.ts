import { type ResourceKindName, resourceKindNames, type ResourceOf } from '#core/resources/index.ts'
import { isDomainError } from '#core/errors.ts'
import { identityRecordTypes, organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import type { ResourceHost } from './host.ts'
import type { RecordAddress, RecordLedger } from './record-ledger.ts'

export interface SweepParts {
  readonly host: Pick<ResourceHost, 'list'>
  readonly store: Pick<IdentityWriter, 'organizations' | 'names' | 'get'>
  readonly ledger: RecordLedger
  readonly claimOf: <K extends ResourceKindName>(
    kind: K,
    resource: ResourceOf[K],
  ) => RecordAddress | undefined
}

/**
 * Removes records that no object stands for: what was deleted while no operator ran. Call it only when the host
 * has shown everything and each object was reconciled. Resolves with how many went.
 */
export async function sweepOrphans({ host, store, ledger, claimOf }: SweepParts): Promise<number> {
  const claims = (): Set<string> =>
    new Set(
      resourceKindNames
        .flatMap((kind) => host.list(kind).map((resource) => claimOf(kind, resource as never)))
        .filter((address) => address !== undefined)
        .map(keyOf),
    )
  let removed = 0
  for (const organization of await store.organizations()) {
    for (const type of identityRecordTypes) {
      const names = await store.names(type, organization)
      // Read after the names: what was written before them is claimed by now, or has gone again.
      const claimed = claims()
      for (const name of names) {
        const address = { type, organization, name }
        if (claimed.has(keyOf(address))) continue
        const hasHome = claimed.has(keyOf({ ...address, type: 'organization', name: organizationRecordName }))
        if (hasHome && (await isRetained(store, address))) continue
        if (await ledger.removeOrphan(address, () => !claims().has(keyOf(address)))) removed += 1
      }
    }
  }
  return removed
}

/** A user whose resource said that it should stay. */
async function isRetained(
  store: Pick<IdentityWriter, 'get'>,
  { type, organization, name }: RecordAddress,
): Promise<boolean> {
  if (type !== 'user') return false
  try {
    return (await store.get(type, organization, name))?.retain === true
  } catch (error) {
    if (isDomainError(error, 'record-damaged')) return false
    throw error
  }
}

function keyOf({ type, organization, name }: RecordAddress): string {
  return `${organization}/${type}/${name}`
}
