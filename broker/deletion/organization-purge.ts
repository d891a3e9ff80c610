import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '#core/clock.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ControlLogCatchUp } from '#core/stores/control-log.ts'
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
  readonly controlLog: ControlLogCatchUp
  readonly metrics: PurgeMetrics
  /** How long after the first time it looks again; longer than anybody goes on who has not heard that the organization is gone. */
  readonly settleMs: number
  /** The stores' time. */
  readonly now: Clock
  readonly log: Log
}

const longestLookMs = 5_000
const leaseMs = 15_000
/** Longer than a replica may be silent until nobody is served by it any more. */
const longestCatchUpMs = 75_000
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
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined
  #mustAgain = false
  #isClosed = false

  constructor(options: OrganizationPurgeOptions) {
    this.#options = options
    const everyMs = Math.min(longestLookMs, Math.max(options.settleMs, 100))
    this.#timer = setInterval(() => this.look(), everyMs).unref()
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
      metrics.waiting(tombstones.filter((one) => !isPurged(known.get(one.organization), one)).length)
      const work = this.#judge(tombstones, known)
      if (work.every(({ length }) => length === 0)) return
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

  /** What nobody has looked at, what is to be looked at again, and marks that nobody needs. */
  #judge(tombstones: readonly Tombstone[], known: ReadonlyMap<OrganizationId, PurgeMark>): Work {
    const { now, settleMs } = this.#options
    const standing = new Map(tombstones.map((one) => [one.organization, one]))
    const isDue = ({ state, at }: PurgeMark): boolean => state === 'purged' && now() - at >= settleMs
    return [
      tombstones.filter((one) => !isPurged(known.get(one.organization), one)),
      tombstones.filter((one) => {
        const mark = known.get(one.organization)
        return mark !== undefined && isPurged(mark, one) && isDue(mark)
      }),
      [...known].filter(([organization, mark]) => standing.get(organization)?.id !== mark.tombstone),
    ]
  }

  async #work([fresh, due, done]: Work): Promise<void> {
    const { marks } = this.#options
    for (const [organization, mark] of done) {
      // One of a later deletion is in its place as soon as that is done.
      if (!fresh.some((one) => one.organization === organization)) await marks.forget(organization, mark)
    }
    if (fresh.length > 0 && (await this.#catchUp())) await this.#remove(fresh, 'purged')
    if (due.length > 0) await this.#remove(due, 'settled')
  }

  /** Whoever still has clients of them would write there. False when it was closed, or the lease is another's. */
  async #catchUp(): Promise<boolean> {
    const { controlLog, log } = this.#options
    const until = performance.now() + longestCatchUpMs
    let missing: readonly string[]
    do {
      missing = await controlLog.caughtUp(patienceMs)
      if (!(await this.#isStillMine())) return false
    } while (missing.length > 0 && performance.now() < until)
    if (missing.length > 0) {
      log.warn(
        { missing },
        'replicas have not said that organizations are gone; what those leave is looked for again',
      )
    }
    await pause(Math.min(longestAfterthoughtMs, this.#options.settleMs))
    return await this.#isStillMine()
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
    metrics.waiting(0)
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

type Work = readonly [
  fresh: readonly Tombstone[],
  due: readonly Tombstone[],
  done: readonly (readonly [OrganizationId, PurgeMark])[],
]
