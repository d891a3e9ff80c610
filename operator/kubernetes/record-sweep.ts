import type { Log } from '#core/process/logger.ts'
import type { HeldRemoval, Reconcilers } from '../reconcilers/index.ts'
import type { EventNote } from '../runtime/events.ts'
import type { KubernetesObject } from '../runtime/objects.ts'
import type { RecordMetrics } from './record-metrics.ts'

/** Annotation of the Lease: the token of what may be removed. */
export const confirmationAnnotation = 'cloudsignal.app/confirm-removal'

export interface RecordSweepOptions {
  readonly sweepOrphans: Reconcilers['sweepOrphans']
  /** The Lease, as last seen: what is confirmed stands there, and what is held is told there. */
  readonly lease: () => KubernetesObject | undefined
  readonly record: (regarding: KubernetesObject, note: EventNote) => void
  readonly metrics: RecordMetrics
  readonly log: Log
}

/** Sweeps, and says what it keeps because it is too much, with the command that lets it go. */
export class RecordSweep {
  readonly #options: RecordSweepOptions
  #held: HeldRemoval | undefined
  #running: Promise<unknown> = Promise.resolve()

  constructor(options: RecordSweepOptions) {
    this.#options = options
  }

  /** Resolves with how many records went. Two never run at once. */
  run(): Promise<number> {
    const own = this.#running.then(
      () => this.#sweep(),
      () => this.#sweep(),
    )
    this.#running = own
    return own
  }

  /** Somebody has just said that what is held may go. */
  hasConfirmation(): boolean {
    return this.#held !== undefined && this.#isConfirmed(this.#held.token)
  }

  #isConfirmed(token: string): boolean {
    return this.#options.lease()?.metadata.annotations?.[confirmationAnnotation] === token
  }

  async #sweep(): Promise<number> {
    const { sweepOrphans, metrics, log } = this.#options
    const { removed, held } = await sweepOrphans((token) => this.#isConfirmed(token))
    metrics.orphansRemoved(removed)
    metrics.orphansHeld(held?.orphans.length ?? 0)
    if (removed > 0) log.info({ orphans: removed }, 'removed records that no object stands for')
    if (held !== undefined && held.token !== this.#held?.token) this.#tell(held)
    if (held === undefined && this.#held !== undefined) log.info({}, 'no removal is held back any more')
    this.#held = held
    return removed
  }

  #tell({ token, orphans, organizations, records }: HeldRemoval): void {
    const { lease: leaseOf, record, log } = this.#options
    const lease = leaseOf()
    const { namespace = '', name = '' } = lease?.metadata ?? {}
    const command = `kubectl -n ${namespace} annotate --overwrite lease ${name} ${confirmationAnnotation}=${token}`
    const some = organizations.slice(0, 5).join(', ')
    const note =
      `${orphans.length} of ${records} records of ${some}${organizations.length > 5 ? ' and others' : ''} have no object any more. ` +
      `They stay, and let in whom they let in, until the objects are back or somebody confirms: ${command}`
    log.error({ token, orphans: orphans.length, records, organizations: organizations.slice(0, 20) }, note)
    if (lease !== undefined) record(lease, { type: 'Warning', reason: 'RemovalHeld', action: 'Sweep', note })
  }
}
