import type { Clock } from '#core/clock.ts'
import type { Log } from '#core/process/logger.ts'
import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import type { FormerPasswordMarks } from '#core/stores/former-password-marks.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import { isPurged, type PurgeMarks } from '#core/stores/purge-marks.ts'
import { accessListReconciler } from './access-list.ts'
import { apiKeyReconciler } from './api-key.ts'
import { createReconciler } from './create-reconciler.ts'
import type { Endpoints } from './endpoints.ts'
import type { ResourceHost } from './host.ts'
import { identityProviderReconciler } from './identity-provider.ts'
import type { KindReconciler } from './kind-reconciler.ts'
import { mqttUserReconciler } from './mqtt-user.ts'
import { createOrganizationFinder } from './organization-finder.ts'
import { organizationReconciler } from './organization.ts'
import { type SweepOutcome, sweepOrphans } from './orphan-sweep.ts'
import { objectOf, type Reconciler, type ResourceAddress } from './reconciler.ts'
import { RecordLedger } from './record-ledger.ts'
import { type BrakeLimits, usualLimits } from './sweep-brake.ts'
import { SweepHistory } from './sweep-history.ts'

export type { Endpoints } from './endpoints.ts'
export type { SweepOutcome } from './orphan-sweep.ts'
export type { HeldRemoval } from './sweep-brake.ts'
export { secretNamesOf } from './secret-names.ts'

export interface ReconcilerOptions {
  readonly host: ResourceHost
  readonly store: IdentityWriter
  /** What the token service notes of API keys. */
  readonly keyUses: Pick<ApiKeyUses, 'lastUse'>
  readonly now: Clock
  readonly log: Log
  /** Goes into short ids that are derived; another one changes every username. */
  readonly installation: string
  readonly endpoints: Endpoints
  /** Who still uses a password that was rotated. */
  readonly formerPasswords: Pick<FormerPasswordMarks, 'lastUse'>
  /** How far brokers are with what Organizations have left. */
  readonly purges: Pick<PurgeMarks, 'all' | 'of' | 'hasBroker'>
  /** For secrets of providers; without them a provider that has any is refused. */
  readonly sealing: SealingKeys | undefined
  /** How long a deleted object is held while its record can not be removed; five minutes by default. */
  readonly longestHoldMs?: number
  /** Reconciles an object within so many ms, whatever else; a driver that tries again soon needs none. */
  readonly wake?: (of: ResourceAddress, withinMs: number) => void
  /** How much a sweep removes unasked. */
  readonly sweepLimits?: BrakeLimits
}

/**
 * Everything that makes records follow resources. Whoever drives it:
 *
 * - reconciles each object once, never one object twice at a time, and again when it rejects;
 * - then calls `sweepOrphans` and `store.markReady()`;
 * - from then on, when an object appears, changes or goes, reconciles it and its `dependents`; and when a Secret
 *   does, each object whose `secretNamesOf` has it.
 */
export interface Reconcilers {
  readonly byKind: Readonly<Record<ResourceKindName, Reconciler>>
  /** Objects whose records somebody has changed or removed in the store: to be reconciled. Reads no Secret and no status. */
  findDrift(): Promise<readonly ResourceAddress[]>
  /** Removes records that no object stands for; many at once only when `isConfirmed` says yes to their token. */
  sweepOrphans(isConfirmed?: (token: string) => boolean): Promise<SweepOutcome>
  /** Forgets Organizations that are gone and have left nothing. To be called now and then. */
  forgetGone(): Promise<void>
}

/** Objects before those that refer to them. Any order ends the same; in this one nothing waits for another. */
export const reconcileOrder = [
  'Organization',
  'AccessList',
  'IdentityProvider',
  'ApiKey',
  'MqttUser',
] as const satisfies readonly ResourceKindName[]

const usualHoldMs = 300_000

export function createReconcilers(options: ReconcilerOptions): Reconcilers {
  const { host, store, now, log, installation, endpoints, formerPasswords, keyUses, purges, sealing } =
    options
  const limits = options.sweepLimits ?? usualLimits
  const finder = createOrganizationFinder(host, installation)
  const ledger = new RecordLedger(store)
  const kinds = {
    Organization: organizationReconciler({ host, store, purges, ledger, finder }),
    AccessList: accessListReconciler(host, finder),
    IdentityProvider: identityProviderReconciler({ host, store, finder, sealing }),
    ApiKey: apiKeyReconciler({ host, store, finder, uses: keyUses }),
    MqttUser: mqttUserReconciler({ host, store, finder, endpoints, formerPasswords, now }),
  } as const
  const doubts = new Map<ResourceKindName, number>()
  const history = new SweepHistory(now)
  const parts = {
    host,
    doubts,
    ledger,
    now,
    log,
    longestHoldMs: options.longestHoldMs ?? usualHoldMs,
    wake: options.wake ?? (() => {}),
  }
  const claimOf = <K extends ResourceKindName>(kind: K, resource: ResourceOf[K]) =>
    (kinds[kind] as unknown as Pick<KindReconciler<K, unknown>, 'claimOf'>).claimOf(resource)
  return {
    byKind: {
      Organization: createReconciler(kinds.Organization, parts),
      AccessList: createReconciler(kinds.AccessList, parts),
      IdentityProvider: createReconciler(kinds.IdentityProvider, parts),
      ApiKey: createReconciler(kinds.ApiKey, parts),
      MqttUser: createReconciler(kinds.MqttUser, parts),
    },
    findDrift: async () => (await ledger.drifted()).map(objectOf),
    async forgetGone() {
      const marks = await purges.all()
      for (const tombstone of await store.tombstones()) {
        const mark = marks.get(tombstone.organization)
        const isOver = mark?.state === 'settled' && isPurged(mark, tombstone) && !tombstone.retains
        const isStale = (await store.tombstoneOf(tombstone.organization))?.id !== tombstone.id
        if (isOver || isStale) await store.forget(tombstone)
      }
    },
    sweepOrphans: (isConfirmed = () => false) =>
      sweepOrphans({ host, store, ledger, claimOf, limits, doubts, history, now, log }, isConfirmed),
  }
}
