/**
 * Exactly one of several processes leads, by a coordination.k8s.io Lease.
 *
 * - A leader renews every `retryPeriodMs` and stops leading when no renewal succeeded for `renewDeadlineMs`,
 *   counted from when the successful one was sent; another takes over only after seeing the Lease unchanged for
 *   its duration. Both use their own monotonic clock, so clocks that differ do no harm. The first is shorter than
 *   the second, so there are never two.
 * - Every write is conditional on the resourceVersion read before.
 * - `term` (leaseTransitions) grows with every change of leader: writes to other stores can be fenced with it.
 *   Nobody may delete the Lease while processes run: that starts the terms anew and allows two leaders for the
 *   seconds until the next renewal. A leader that finds a fence of a later term, as after such a deletion, asks for
 *   a term above it by `raiseTerm`: only who still holds the Lease gets one.
 * - An unreachable API server is waited for; it costs the leader its leadership, nothing else.
 */
import { isApiError } from '../../kubernetes/api-error.ts'
import type { KubernetesApi } from './kubernetes-api.ts'
import { errorFields, type Log } from './log.ts'
import type { KubernetesObject, ResourceType } from './objects.ts'
import { deadline, microTime, sleep, type Random, type Time } from './time.ts'

export interface Leadership {
  readonly term: number
  /** Resolves with a term above this one, once it stands in the Lease; rejects when leadership ends before. */
  raiseTerm(above: number): Promise<number>
  /** Aborts when leadership ends, for whatever reason. */
  readonly signal: AbortSignal
}

export interface LeaderElectorOptions {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'replace'>
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /** Unique among the processes, such as the Pod's name and a random part. */
  readonly identity: string
  readonly time: Time
  readonly random: Random
  readonly log: Log
  /** Must not block: what it starts ends with `signal`. */
  readonly onStartedLeading: (leadership: Leadership) => void
  /** Awaited, with the Lease still renewed, before it is given up; bound its time. */
  readonly onStoppedLeading: () => void | Promise<void>
  readonly leaseDurationMs?: number
  readonly renewDeadlineMs?: number
  readonly retryPeriodMs?: number
  readonly metrics?: { leading(name: string, isLeader: boolean): void }
}

/** `released`: the signal aborted. `lost`: it could not be renewed, or was taken; most programs then exit. */
export type ElectionEnd = 'released' | 'lost'

export const leaseType: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  namespaced: true,
}

interface LeaseSpec {
  holderIdentity?: string
  leaseDurationSeconds?: number
  acquireTime?: string
  renewTime?: string
  leaseTransitions?: number
}

interface Lease extends KubernetesObject {
  spec: LeaseSpec
}

interface Observation {
  readonly lease: Lease
  /** Monotonic time at which this content was first seen. */
  readonly since: number
}

// client-go's factor: standbys do not all try in the same instant.
const jitter = 1.2

export class LeaderElector {
  readonly #options: LeaderElectorOptions
  readonly #leaseDurationMs: number
  readonly #renewDeadlineMs: number
  readonly #retryPeriodMs: number
  #observed: Observation | undefined
  /** Set by a failed write: what was observed may no longer be what is stored. */
  #mustRead = true
  #leadsUntil: number | undefined
  #leastTerm = 0
  #raised = new Set<() => void>()
  #running = false

  constructor(options: LeaderElectorOptions) {
    this.#options = options
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000
    if (this.#renewDeadlineMs >= this.#leaseDurationMs) {
      throw new Error('the renew deadline must be shorter than the lease')
    }
    if (this.#retryPeriodMs * jitter >= this.#renewDeadlineMs) {
      throw new Error('the retry period must be shorter than the renew deadline')
    }
  }

  /** False from the instant the renew deadline passes, even when nothing ran since. */
  isLeader(): boolean {
    return this.#leadsUntil !== undefined && this.#options.time.monotonic() < this.#leadsUntil
  }

  /** Who holds the Lease, as last seen; '' when nobody does or nothing is known. */
  leader(): string {
    return this.#observed?.lease.spec.holderIdentity ?? ''
  }

  /** The Lease as last seen, with the annotations that people gave it. */
  lease(): KubernetesObject | undefined {
    return this.#observed?.lease
  }

  /**
   * Waits for leadership, then leads until it ends. Never rejects. May be called again afterwards, not meanwhile.
   */
  run(signal: AbortSignal): Promise<ElectionEnd> {
    if (this.#running) throw new Error('the leader elector is already running')
    this.#running = true
    return this.#run(signal).finally(() => {
      this.#running = false
    })
  }

  async #run(signal: AbortSignal): Promise<ElectionEnd> {
    while (!signal.aborted) {
      if (await this.#try(signal)) {
        if (!signal.aborted) return await this.#lead(signal)
        await this.#release()
      } else {
        await sleep(this.#options.time, this.#retryPeriodMs * (1 + this.#options.random() * jitter), signal)
      }
    }
    return 'released'
  }

  async #lead(stop: AbortSignal): Promise<ElectionEnd> {
    const ended = new AbortController()
    const lost = this.#keep(ended.signal)
    this.#announce(true)
    this.#guard(() =>
      this.#options.onStartedLeading({
        term: this.#term(),
        raiseTerm: (above) => this.#raiseTerm(above, ended.signal),
        signal: AbortSignal.any([ended.signal, stop]),
      }),
    )
    const isLost = await Promise.race([lost, aborted(stop)])
    const end = isLost ? 'lost' : 'released'
    if (isLost) ended.abort()
    // Renewal goes on here, so that nobody takes over while work still drains.
    await this.#guardAsync(this.#options.onStoppedLeading)
    ended.abort()
    await lost
    if (end === 'released') await this.#release()
    this.#leadsUntil = undefined
    this.#announce(false)
    return end
  }

  /** Renews until `signal` aborts (false) or leadership is lost (true). */
  async #keep(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await sleep(this.#options.time, this.#untilNextRenewal(), signal)
      if (signal.aborted) return false
      // Not interrupted by `signal`: a renewal written but not seen would make the release a conflict.
      if (this.isLeader()) await this.#try()
      if (!this.isLeader()) return !signal.aborted
    }
    return false
  }

  async #raiseTerm(above: number, ended: AbortSignal): Promise<number> {
    this.#leastTerm = Math.max(this.#leastTerm, above + 1)
    while (this.#term() <= above || !this.isLeader()) {
      ended.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#raised.add(resolve)
      ended.addEventListener('abort', () => resolve(), { once: true })
      await promise
      this.#raised.delete(resolve)
    }
    return this.#term()
  }

  #remaining(): number {
    return Math.max(0, (this.#leadsUntil ?? 0) - this.#options.time.monotonic())
  }

  #untilNextRenewal(): number {
    return Math.min(this.#retryPeriodMs, this.#remaining())
  }

  /** One attempt to acquire or renew; true when we hold the Lease now. `signal` interrupts reading only. */
  async #try(signal?: AbortSignal): Promise<boolean> {
    const sentAt = this.#options.time.monotonic()
    const limit = deadline(this.#options.time, this.#attemptLimit())
    try {
      if (!(await this.#write(limit.signal, signal))) return false
      this.#leadsUntil = sentAt + this.#renewDeadlineMs
      for (const resolve of this.#raised) resolve()
      return true
    } catch (error) {
      this.#mustRead = true
      this.#failed(error, signal)
      return false
    } finally {
      limit.dispose()
    }
  }

  /** Half the deadline, so that a connection that hangs leaves time for a second attempt. */
  #attemptLimit(): number {
    const half = this.#renewDeadlineMs / 2
    return this.isLeader() ? Math.min(half, this.#remaining()) : half
  }

  async #write(limit: AbortSignal, stop: AbortSignal | undefined): Promise<boolean> {
    const { api } = this.#options
    if (this.#mustRead || !this.isLeader()) await this.#read(stop ? AbortSignal.any([limit, stop]) : limit)
    const lease = this.#observed?.lease
    if (lease === undefined) {
      this.#observe(await api.create(leaseType, this.#firstLease(), { signal: limit }))
      return true
    }
    if (!this.#mayTake(lease)) return false
    this.#observe(
      await api.replace(leaseType, { ...lease, spec: this.#renewed(lease.spec) }, { signal: limit }),
    )
    return true
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { api, namespace, name } = this.#options
    try {
      const lease = await api.get<Lease>(leaseType, { namespace, name }, { signal })
      this.#observe({ ...lease, spec: lease.spec ?? {} })
    } catch (error) {
      if (!isApiError(error, 'not-found')) throw error
      this.#observed = undefined
    }
    this.#mustRead = false
  }

  #observe(lease: Lease): void {
    const isSame = this.#observed?.lease.metadata.resourceVersion === lease.metadata.resourceVersion
    const since = isSame ? this.#observed?.since : undefined
    this.#observed = { lease, since: since ?? this.#options.time.monotonic() }
  }

  #mayTake({ spec }: Lease): boolean {
    if (spec.holderIdentity === this.#options.identity) return true
    // Whoever holds it now: our term is over, and taking it back is a new one.
    if (this.isLeader()) return this.#giveUp()
    if (!spec.holderIdentity) return true
    const durationMs = spec.leaseDurationSeconds ? spec.leaseDurationSeconds * 1000 : this.#leaseDurationMs
    const since = this.#observed?.since ?? this.#options.time.monotonic()
    return this.#options.time.monotonic() - since > durationMs
  }

  #giveUp(): false {
    this.#leadsUntil = undefined
    return false
  }

  #renewed(spec: LeaseSpec): LeaseSpec {
    const now = microTime(this.#options.time.now())
    const held = spec.holderIdentity === this.#options.identity
    return {
      ...spec,
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime: held ? (spec.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: Math.max((spec.leaseTransitions ?? 0) + (held ? 0 : 1), this.#leastTerm),
    }
  }

  #firstLease(): Lease {
    const { namespace, name } = this.#options
    const spec = this.#renewed({})
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec }
  }

  #term(): number {
    return this.#observed?.lease.spec.leaseTransitions ?? 0
  }

  #failed(error: unknown, stop?: AbortSignal): void {
    if (stop?.aborted) return
    const { log, identity, name } = this.#options
    log.warn({ ...errorFields(error), lease: name, identity }, 'could not write the lease')
  }

  async #release(): Promise<void> {
    const lease = this.#observed?.lease
    if (lease === undefined || !this.isLeader()) return
    const now = microTime(this.#options.time.now())
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now }
    const limit = deadline(this.#options.time, this.#attemptLimit())
    try {
      this.#observe(await this.#options.api.replace(leaseType, { ...lease, spec }, { signal: limit.signal }))
    } catch (error) {
      this.#failed(error)
    } finally {
      limit.dispose()
    }
  }

  #announce(isLeader: boolean): void {
    const { log, metrics, name, identity } = this.#options
    metrics?.leading(name, isLeader)
    log.info({ lease: name, identity, term: this.#term() }, isLeader ? 'started leading' : 'stopped leading')
  }

  #guard(call: () => void): void {
    void this.#guardAsync(call)
  }

  async #guardAsync(call: () => void | Promise<void>): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.#options.log.error(errorFields(error), 'a leadership callback failed')
    }
  }
}

function aborted(signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    signal.addEventListener('abort', () => resolve(false), { once: true })
  })
}
