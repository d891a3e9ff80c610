/**
 * Time as the runtime sees it, passed in so that tests decide how it passes. All values are milliseconds.
 *
 * - `now`        wall clock since the epoch: for what other machines read
 * - `monotonic`  never goes back and ignores corrected clocks: for every duration and deadline
 * - `after`      calls `run` once, `ms` from now; calling the result before that cancels it
 */
export interface Time {
  now(): number
  monotonic(): number
  after(ms: number, run: () => void): Cancel
}

export type Cancel = () => void

/** A number in [0, 1), as Math.random gives. */
export type Random = () => number

// setTimeout fires at once for anything longer, which would turn a 30-day wait into a busy loop.
const longestTimer = 2 ** 31 - 1

export const systemTime: Time = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: armTimer,
}

function armTimer(ms: number, run: () => void): Cancel {
  let remaining = Math.max(0, ms)
  let timer: NodeJS.Timeout
  const arm = (): void => {
    const step = Math.min(remaining, longestTimer)
    remaining -= step
    timer = setTimeout(() => (remaining > 0 ? arm() : run()), step)
  }
  arm()
  return () => clearTimeout(timer)
}

/** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
export function sleep(time: Time, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const finish = (): void => {
      cancel()
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = time.after(ms, finish)
    signal?.addEventListener('abort', finish)
  })
}

/** A signal that aborts `ms` from now, or with `parent`. `dispose` must be called when it is no longer needed. */
export interface Deadline {
  readonly signal: AbortSignal
  /** True when the time ran out; false while it runs, and when it was the parent that aborted. */
  expired(): boolean
  /** Takes the time limit away; `parent` still aborts the signal. */
  lift(): void
  dispose(): void
}

export function deadline(time: Time, ms: number, parent?: AbortSignal): Deadline {
  const controller = new AbortController()
  let expired = false
  const cancel = time.after(ms, () => {
    expired = true
    controller.abort(new DOMException('no answer in time', 'TimeoutError'))
  })
  const follow = (): void => controller.abort(parent?.reason)
  if (parent?.aborted) follow()
  parent?.addEventListener('abort', follow)
  const dispose = (): void => {
    cancel()
    parent?.removeEventListener('abort', follow)
  }
  return { signal: controller.signal, expired: () => expired, lift: cancel, dispose }
}

/** RFC 3339 with microseconds: the only form a Lease or an Event accepts. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}

/** RFC 3339 in whole seconds: metav1.Time. */
export function secondTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
