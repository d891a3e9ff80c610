import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '#core/clock.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ControlLogWitness, ControlLogWriter } from '#core/stores/control-log.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { isPurged, type PurgeMark, type PurgeMarks, type PurgeState } from '#core/stores/purge-marks.ts'
import type { Tombstone } from '#core/stores/tombstone.ts'
import type { PurgeMetrics } from './purge-metrics.ts'
import type { Remains } from './remains.ts'

export interface OrganizationPurgeOptions {
  readonly replica: string
  readonly identities: Pick<IdentityReader, 'tombstones'>
  readonly marks: PurgeMarks
  readonly remains: Remains
  /** Told of each that is gone, again and again. */
  readonly isGone: (organization: OrganizationId) => void
  readonly controlLog: ControlLogWriter & ControlLogWitness
  readonly metrics: PurgeMetrics
  /** How long after the first time it looks again; longer than anybody goes on who has not heard that the organization is gone. */
  readonly settleMs: number
  /** The stores' time. */
  readonly now: Clock
  readonly log: Log
}

const longestLookMs = 5_000
const leaseMs = 6_000
/** Longer than a replica may be silent until nobody is served by it any more. */
const longestWaitMs = 75_000
const patienceMs = 1_000
/** By then what programs write beside their work, such as audit events, is written. */
const longestAfterthoughtMs = 1_000

/**
 * Removes what organizations that are gone have left: sessions, retained messages, credentials. One replica does it, and
 * another begins anew where that one dies. It waits until no replica has clients of them any more, and says when it is
 * done; a while later it looks once more. What remains of its work is decided by tombstones, so that it needs to have
 * heard of nothing.
 */
export class OrganizationPurge {
  readonly #options: OrganizationPurgeOptions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #mustAgain = false
  #isClosed = false

  constructor(options: OrganizationPurgeOptions) {
    this.#options = options
  }

  /** Looks now, and then again and again. */
  start(): void {
    const everyMs = Math.min(longestLookMs, Math.max(this.#options.settleMs, 100))
    this.#timer = setInterval(() => this.look(), everyMs).unref()
    this.look()
  }

  /** An organization may be gone. */
  look(): void {
    if (this.#isClosed) return
    if (this.#running !== undefined) {
      this.#mustAgain = true
      return
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.#mustAgain) this.look()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    this.#mustAgain = false
    const { replica, identities, marks, isGone, metrics, log } = this.#options
    try {
      const tombstones = await identities.tombstones()
      for (const { organization } of tombstones) isGone(organization)
      const known = await marks.all()
      const work = this.#judge(tombstones, known)
      metrics.waiting(work.unpurged.length)
      if (Object.values(work).every(({ length }) => length === 0)) return
      if (!(await marks.lease(replica, leaseMs))) return
      try {
        await this.#work(work)
      } finally {
        await marks.release(replica)
      }
    } catch (error) {
      log.debug(errorFields(error), 'what organizations have left could not be removed now')
    }
  }

  #judge(tombstones: readonly Tombstone[], known: ReadonlyMap<OrganizationId, PurgeMark>): Work {
    const { now, settleMs } = this.#options
    const unpurged: Unpurged[] = []
    const due: Tombstone[] = []
    for (const tombstone of tombstones) {
      const last = known.get(tombstone.organization)
      const mark = last?.tombstone === tombstone.id ? last : undefined
      if (!isPurged(mark, tombstone)) unpurged.push({ tombstone, isDeserted: mark !== undefined })
      else if (mark?.state === 'purged' && now() - mark.at >= settleMs) due.push(tombstone)
    }
    const standing = new Map(tombstones.map((one) => [one.organization, one.id]))
    const outdated = [...known].filter(
      ([organization, mark]) => standing.get(organization) !== mark.tombstone,
    )
    return { unpurged, due, outdated }
  }

  async #work({ unpurged, due, outdated }: Work): Promise<void> {
    const { marks } = this.#options
    for (const [organization, mark] of outdated) await marks.forget(organization, mark)
    const inUse = unpurged.filter((one) => !one.isDeserted).map(({ tombstone }) => tombstone)
    if (inUse.length > 0 && !(await this.#waitForReplicas(inUse))) return
    if (unpurged.length > 0)
      await this.#remove(
        unpurged.map(({ tombstone }) => tombstone),
        'purged',
      )
    if (due.length > 0) await this.#remove(due, 'settled')
    // The gauge is to show it, and more may have come.
    this.#mustAgain = true
  }

  /** Whoever still has clients of them would write there. False when it was closed, or the lease is another's. */
  async #waitForReplicas(tombstones: readonly Tombstone[]): Promise<boolean> {
    const { controlLog, marks, now, log } = this.#options
    // The entry of the operator may not be there yet: a tombstone stands before it.
    const positions = await Promise.all(
      tombstones.map(({ organization }) =>
        controlLog.append({ type: 'organization', organization, name: organizationRecordName }),
      ),
    )
    const until = performance.now() + longestWaitMs
    let missing: readonly string[]
    do {
      missing = (await controlLog.applied(positions, patienceMs)).missing
      if (!(await this.#isStillMine())) return false
    } while (missing.length > 0 && performance.now() < until)
    if (missing.length > 0) {
      log.warn(
        { missing },
        'replicas have not said that organizations are gone; what those leave is looked for again',
      )
    }
    await pause(Math.min(longestAfterthoughtMs, this.#options.settleMs))
    if (!(await this.#isStillMine())) return false
    for (const tombstone of tombstones) await marks.mark(tombstone, 'deserted', now())
    return true
  }

  async #remove(tombstones: readonly Tombstone[], state: PurgeState): Promise<void> {
    const { remains, marks, metrics, now, log } = this.#options
    const [began, some] = [performance.now(), tombstones.slice(0, 10).map(({ organization }) => organization)]
    let [keys, leasedAt, turnAt] = [0, began, began]
    for await (const removed of remains.remove(tombstones)) {
      keys += removed
      metrics.removed(removed)
      if (this.#isClosed) return
      if (performance.now() - leasedAt > leaseMs / 3) {
        if (!(await this.#isStillMine())) return
        leasedAt = performance.now()
        log.info({ organizations: some, keys }, 'what organizations have left is being removed')
      }
      // As long for all others as it took.
      await pause(Math.min(50, Math.ceil(performance.now() - turnAt)))
      turnAt = performance.now()
    }
    for (const tombstone of tombstones) await marks.mark(tombstone, state, now())
    const ms = Math.round(performance.now() - began)
    log.info(
      { organizations: some, count: tombstones.length, keys, ms, state },
      'what organizations have left is removed',
    )
  }

  async #isStillMine(): Promise<boolean> {
    const { marks, replica } = this.#options
    return !this.#isClosed && (await marks.lease(replica, leaseMs))
  }
}

interface Unpurged {
  readonly tombstone: Tombstone
  /** No replica has clients of it any more. */
  readonly isDeserted: boolean
}

interface Work {
  readonly unpurged: readonly Unpurged[]
  /** To be looked at again. */
  readonly due: readonly Tombstone[]
  /** Marks that nobody needs. */
  readonly outdated: readonly (readonly [OrganizationId, PurgeMark])[]
}
