import type { Stage } from './stage.ts'
import type { Traffic } from './traffic.ts'

/** What was acknowledged to publishers of QoS 1 while it lasted, and what became of it. */
export interface Outcome {
  readonly name: string
  readonly acked: number
  /** Acknowledged, and never delivered. */
  readonly lost: number
  /** Deliveries of what was delivered before. */
  readonly duplicates: number
  /** Longest that a subscriber got nothing, while all were published to without end, or that somebody was away. */
  readonly longest_gap_ms: number
}

export interface FaultOptions {
  /** How often, where it is done several times. */
  readonly times: number
  /** How many clients come at once, where that matters. */
  readonly clients: number
}

/** Something that goes wrong under traffic. A new one is a file in faults/ and a line in index.ts. */
export interface Fault {
  readonly name: string
  readonly summary: string
  /** Longest that a subscriber may get nothing. */
  readonly mostGapMs: (options: FaultOptions) => number
  readonly needs?: 'faketime'
  /** The place where it happens; by default two replicas on one Redis that writes an AOF. */
  readonly stage?: () => Promise<Stage>
  /**
   * Resolves when it is over and messages flow again, with how long others than the subscribers were away at most, where
   * there are such. Rejects when they do not flow.
   */
  run(stage: Stage, traffic: Traffic, options: FaultOptions): Promise<number | void>
}
