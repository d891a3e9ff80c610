import type { DecisionCost } from './decisions.ts'
import type { Workbench } from './workbench.ts'

/** One name of `npm run bench`: a file in scenarios/ and a line in index.ts. */
export interface Scenario {
  readonly name: string
  /** What is done, in one line. */
  readonly summary: string
  /** What `ours` and `peer` count, such as `messages/s`. */
  readonly unit: string
  /** What ours is held against; `-` for nothing. */
  readonly against: 'mosquitto' | 'stock aedes' | 'jose' | '1 rule' | '-'
  /** All must be reached. */
  readonly goal: Goal | readonly Goal[]
  /** What is made ready for it beside what all need. */
  readonly needs?: 'control plane'
  /** It ends what it has started through the workbench by itself or leaves that to `close`. */
  run(bench: Workbench): Promise<Figures>
}

/** Which figure must be how large; from design section 9. */
export interface Goal {
  readonly figure: 'ours' | 'ratio' | 'p99_ms' | 'seconds' | 'rss_mb' | 'api_writes'
  readonly atLeast?: number
  readonly atMost?: number
}

/** Shares of one core by process, such as `{ broker: 0.99, redis: 0.05, generator: 0.4 }`. */
export type CpuShares = Readonly<Record<string, number>>

/** Bytes that each of these things takes in Redis. */
export type StoredBytes = Readonly<Record<string, number>>

export interface BothSides<T> {
  readonly ours: T
  readonly peer: T
}

/** What a scenario found; as fits. */
export interface Figures {
  readonly ours?: number
  readonly peer?: number
  /** ours / peer. */
  readonly ratio?: number
  /** The same by CPU-second of the brokers. */
  readonly ratio_per_cpu?: number
  readonly p99_ms?: number
  readonly seconds?: number
  readonly rss_mb?: number
  /** Of the operator, but for renewals of its Lease; counted by the API server. */
  readonly api_writes?: number
  /** All of the operator's, its Lease too, while nothing happens. */
  readonly api_requests_per_hour?: number
  readonly cpu?: Partial<BothSides<CpuShares>>
  /**
   * The busiest process, which bounds the figure: `generator` makes it worthless. `nobody` where each waits for the
   * other, or where somebody else had the cores.
   */
  readonly bounded_by?: Partial<BothSides<string>>
  /** Messages or whatever the unit counts, in all measured windows: nothing is measured that did not arrive. */
  readonly delivered?: Partial<BothSides<number>>
  readonly lost?: Partial<BothSides<number>>
  /** Every single measurement, in the order of the rounds. */
  readonly rounds?: Partial<BothSides<readonly number[]>>
  /** Of `acl`: one decision by itself, by how many rules there are. */
  readonly decisions?: readonly DecisionCost[]
  /** Of `redis-memory`. */
  readonly bytes?: StoredBytes
  /** Anything more that a reader must know. */
  readonly note?: string
}

/** As `--json` prints it. */
export interface Result extends Figures {
  readonly name: string
  readonly unit: string
  readonly against: string
  /** Such as `ratio >= 2.5`. */
  readonly goal: string
  /** Absent when a figure of the goal is. */
  readonly holds?: boolean
}

export function resultOf({ name, unit, against, goal }: Scenario, figures: Figures): Result {
  const reached = goalsOf(goal).map((each) => isReached(each, figures))
  const holds = reached.includes(undefined) ? {} : { holds: !reached.includes(false) && !lost(figures) }
  return { name, unit, against, ...figures, goal: describeGoal(goal), ...holds }
}

const goalsOf = (goal: Scenario['goal']): readonly Goal[] => [goal].flat() as readonly Goal[]

/** Undefined when the figure is not there. */
function isReached(
  { figure, atLeast = -Infinity, atMost = Infinity }: Goal,
  figures: Figures,
): boolean | undefined {
  const found = figures[figure]
  return found === undefined ? undefined : found >= atLeast && found <= atMost
}

/** A figure for which messages were lost is none. */
function lost({ lost }: Figures): boolean {
  return (lost?.ours ?? 0) > 0
}

export function describeGoal(goal: Scenario['goal']): string {
  return goalsOf(goal)
    .map(({ figure, atLeast, atMost }) =>
      atLeast === undefined ? `${figure} <= ${atMost}` : `${figure} >= ${atLeast}`,
    )
    .join(', ')
}
