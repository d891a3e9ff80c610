import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '#core/clock.ts'
import { isDomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { RemoveOptions } from '#core/stores/identity-store.ts'
import { isSameStatus } from '../runtime/conditions.ts'
import type { Fate, ResourceHost } from './host.ts'
import {
  type Decision,
  type KindReconciler,
  lookAgainMs,
  type RecordOf,
  type RecordTypeOf,
} from './kind-reconciler.ts'
import { notReady, type Readiness, readyReasonOf, wasSynced, withReadiness } from './readiness.ts'
import {
  ownerOf,
  type Reconciler,
  type ReconcileOutcome,
  type ResourceAddress,
  type ResourceName,
} from './reconciler.ts'
import type { RecordAddress, RecordLedger } from './record-ledger.ts'

export interface ReconcilerParts {
  readonly host: ResourceHost
  readonly ledger: RecordLedger
  readonly now: Clock
  readonly log: Log
  /** Kinds that were removed, and when: what is missing of them may be meant by nobody. */
  readonly doubts: Map<ResourceKindName, number>
  /** How long a deleted object is held while its record can not be removed. */
  readonly longestHoldMs: number
  /** Sees to it that an object is reconciled within so many ms, whatever else. */
  readonly wake: (of: ResourceAddress, withinMs: number) => void
}

/** The steps that all kinds share: look up, hold, gather, decide, write, report; and the end of an object. */
export function createReconciler<K extends ResourceKindName, Facts>(
  kind: KindReconciler<K, Facts>,
  parts: ReconcilerParts,
): Reconciler {
  const loop = new ReconcileLoop(kind, parts)
  return {
    kind: kind.kind,
    reconcile: (of) => loop.reconcile(of),
    dependents: (of) => kind.dependents(of),
  }
}

class ReconcileLoop<K extends ResourceKindName, Facts> {
  readonly #kind: KindReconciler<K, Facts>
  readonly #parts: ReconcilerParts

  constructor(kind: KindReconciler<K, Facts>, parts: ReconcilerParts) {
    this.#kind = kind
    this.#parts = parts
  }

  async reconcile(of: ResourceName): Promise<ReconcileOutcome> {
    const found = this.#parts.host.get(this.#kind.kind, of.namespace, of.name)
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) {
      return await this.#end(of, found)
    }
    const resource = await this.#hold(found)
    const decision = await this.#decideAndWrite(resource)
    await this.#report(resource, decision.ready, decision.status)
    return decision.againAfterMs === undefined ? {} : { againAfterMs: decision.againAfterMs }
  }

  async #decideAndWrite(resource: ResourceOf[K]): Promise<Decision<K>> {
    try {
      const decision = this.#kind.decide(resource, await this.#kind.gather(resource))
      await this.#write(resource, decision)
      return decision
    } catch (error) {
      if (isDomainError(error, 'store-unavailable')) await this.#reportStoreUnavailable(resource)
      throw error
    }
  }

  async #write(resource: ResourceOf[K], { record, end }: Decision<K>): Promise<void> {
    const { ledger } = this.#parts
    const owner = this.#ownerOf(resource.metadata)
    const claim = this.#kind.claimOf(resource)
    if (record === 'keep') return
    if (typeof record === 'string' || claim === undefined) {
      const isToGo = record === 'remove' || record === 'withdraw'
      if (isToGo && claim !== undefined) {
        await this.#removeAt(owner, claim, { keepsIssued: record === 'withdraw' })
      }
      await this.#release(owner)
      return
    }
    // TypeScript does not see that a kind's address and record are of one type.
    const written = record as RecordOf<ResourceKindName>
    const changed = await ledger.put(owner, claim as RecordAddress, written, end?.end)
    await this.#release(owner, claim)
    if (changed && end !== undefined) this.#sayThatIssuedEnded(resource, end.why)
  }

  #sayThatIssuedEnded(resource: ResourceOf[K], why: string): void {
    const { host, log } = this.#parts
    const { namespace, name } = resource.metadata
    const message = `What was issued here by now has ended: ${why}.`
    host.event(this.#kind.kind, resource, { type: 'Normal', reason: 'IssuedEnded', message })
    log.info({ kind: this.#kind.kind, namespace, name }, message)
  }

  /** The object is gone, or about to go. */
  async #end(of: ResourceName, resource: ResourceOf[K] | undefined): Promise<ReconcileOutcome> {
    const isLeft =
      resource !== undefined && this.#kind.retains?.(resource) === true
        ? this.#retain(of)
        : await this.#removeOrLeave(of, resource)
    if (resource === undefined) return isLeft ? { mustSweep: true } : {}
    if (!isLeft && (await this.#mustWait(resource))) return { againAfterMs: lookAgainMs }
    await this.#parts.host.removeFinalizer(this.#kind.kind, resource)
    return isLeft ? { mustSweep: true } : {}
  }

  /** Until others have done what the end of the object takes, and no longer than it may be held. */
  async #mustWait(resource: ResourceOf[K]): Promise<boolean> {
    if (this.#kind.awaits === undefined) return false
    try {
      const awaited = await this.#kind.awaits(resource)
      if (awaited === undefined) return false
      if (!this.#isHeldTooLong(resource)) {
        await this.#report(resource, awaited, statusWithoutReadiness(resource))
        return true
      }
    } catch (error) {
      if (!this.#isHeldTooLong(resource)) throw error
    }
    const message =
      'What it has left is not removed yet. Brokers remove it when they can; nobody gets at it until then.'
    this.#parts.host.event(this.#kind.kind, resource, { type: 'Warning', reason: 'PurgeLeft', message })
    return false
  }

  #retain(of: ResourceName): false {
    this.#parts.ledger.abandon(this.#ownerOf(of))
    return false
  }

  /** Resolves with whether a record was left for the sweep. */
  async #removeOrLeave(of: ResourceName, resource: ResourceOf[K] | undefined): Promise<boolean> {
    const { host, ledger, doubts, now } = this.#parts
    const { kind } = this.#kind
    const owner = this.#ownerOf(of)
    let fate: Fate = 'missing'
    try {
      fate = await host.fateOf(kind, of)
      if (fate === 'deleted') await this.#removeRecords(owner, resource)
    } catch (error) {
      if (resource === undefined || !this.#isHeldTooLong(resource)) throw error
      if (fate === 'deleted') ledger.condemn(owner, this.#claimHeldBy(resource))
      else ledger.abandon(owner)
      this.#sayThatItIsLeft(resource, error)
      return true
    }
    if (fate === 'deleted') return false
    const isLeft = resource !== undefined || ledger.written(owner).length > 0
    if (isLeft && fate === 'kind-removed') doubts.set(kind, now())
    ledger.abandon(owner)
    return isLeft
  }

  #claimHeldBy(resource: ResourceOf[K]): RecordAddress | undefined {
    return this.#kind.holdsClaim(resource) ? this.#kind.claimOf(resource) : undefined
  }

  /** If not yet, it comes back when it is. */
  #isHeldTooLong({ metadata }: ResourceOf[K]): boolean {
    const { longestHoldMs, now, wake } = this.#parts
    const left = Date.parse(metadata.deletionTimestamp ?? '') + longestHoldMs - now()
    if (left <= 0) return true
    wake({ kind: this.#kind.kind, namespace: metadata.namespace, name: metadata.name }, left)
    return false
  }

  /** Nobody's namespace stays for ever because Redis is away. */
  #sayThatItIsLeft(resource: ResourceOf[K], error: unknown): void {
    const { host, log } = this.#parts
    const { namespace, name } = resource.metadata
    const message =
      'Its record could not be removed from Redis in time and is removed later. Until then it lets in whom it let in.'
    host.event(this.#kind.kind, resource, { type: 'Warning', reason: 'RecordLeft', message })
    log.error(
      { ...errorFields(error), kind: this.#kind.kind, namespace, name },
      'a deleted object is let go; its record is left for the sweep',
    )
  }

  async #removeRecords(owner: string, resource: ResourceOf[K] | undefined): Promise<void> {
    const claim = resource === undefined ? undefined : this.#claimHeldBy(resource)
    if (claim !== undefined) await this.#removeAt(owner, claim)
    await this.#release(owner)
  }

  /** Removes what the object has written, but not `except`. */
  async #release(owner: string, except?: RecordAddress): Promise<void> {
    for (const address of this.#parts.ledger.written(owner)) {
      if (!isDeepStrictEqual(address, except)) await this.#removeAt(owner, address)
    }
  }

  async #removeAt(owner: string, address: RecordAddress, options?: RemoveOptions): Promise<void> {
    await this.#parts.ledger.remove(owner, address, options)
    await this.#kind.afterRemoval?.(address as RecordAddress<RecordTypeOf[K]>)
  }

  async #hold(resource: ResourceOf[K]): Promise<ResourceOf[K]> {
    if (!this.#kind.needsFinalizer) return resource
    const { host } = this.#parts
    await host.addFinalizer(this.#kind.kind, resource)
    const { namespace, name } = resource.metadata
    return host.get(this.#kind.kind, namespace, name) ?? resource
  }

  async #report(resource: ResourceOf[K], ready: Readiness, own: object): Promise<void> {
    const { host, now, log } = this.#parts
    const status = { ...own, ...withReadiness(resource, ready, now()) }
    if (isSameStatus(resource.status, status)) return
    await host.writeStatus(this.#kind.kind, resource, status as NonNullable<ResourceOf[K]['status']>)
    if (readyReasonOf(resource) === ready.reason) return
    const { namespace, name } = resource.metadata
    const type = ready.isReady || ready.reason === 'Suspended' ? 'Normal' : 'Warning'
    host.event(this.#kind.kind, resource, { type, reason: ready.reason, message: ready.message })
    log.info({ kind: this.#kind.kind, namespace, name, reason: ready.reason }, ready.message)
  }

  /** What is in the store already stays true while Redis is away, and ten thousand objects need not say so. */
  async #reportStoreUnavailable(resource: ResourceOf[K]): Promise<void> {
    if (wasSynced(resource)) return
    try {
      const message = 'Redis can not be written; it is tried again until it can'
      await this.#report(resource, notReady('StoreUnavailable', message), statusWithoutReadiness(resource))
    } catch (error) {
      this.#parts.log.warn(errorFields(error), 'could not report that Redis is away')
    }
  }

  #ownerOf({ namespace, name }: ResourceName): string {
    return ownerOf({ kind: this.#kind.kind, namespace, name })
  }
}

function statusWithoutReadiness({ status }: { readonly status?: object }): object {
  const {
    conditions: _,
    observedGeneration: __,
    ...own
  } = (status ?? {}) as { conditions?: unknown; observedGeneration?: unknown }
  return own
}
