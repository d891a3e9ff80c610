import { setTimeout as pause } from 'node:timers/promises'

export interface DrainOptions<Connection> {
  /** Those that are there now; asked again before each step. */
  readonly connections: () => readonly Connection[]
  /** Resolves once that one is gone. Never rejects. */
  readonly retire: (connection: Connection) => Promise<void>
  /** How long all of it may take, in ms. */
  readonly overMs: number
}

const everyMs = 100
/** Of a few clients nobody feels that all come at once. */
const fewestAtOnce = 5

/**
 * Sends clients away in steps, those that came first at first: the replicas that they come back to have to let each in.
 * Resolves once all are gone, in `overMs` and what the last of them take.
 */
export async function drain<Connection>({
  connections,
  retire,
  overMs,
}: DrainOptions<Connection>): Promise<void> {
  const end = performance.now() + overMs
  const retired = new Map<Connection, Promise<void>>()
  for (;;) {
    const left = connections().filter((connection) => !retired.has(connection))
    if (left.length === 0) break
    for (const connection of left.slice(0, stepOf(left.length, end - performance.now()))) {
      retired.set(connection, retire(connection))
    }
    await pause(everyMs)
  }
  await Promise.all(retired.values())
}

/** How many go now, so that all go evenly in the time that is left. */
export function stepOf(left: number, leftMs: number): number {
  if (leftMs < everyMs) return left
  return Math.max(fewestAtOnce, Math.ceil((left * everyMs) / leftMs))
}
