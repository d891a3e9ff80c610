import type { BothSides, CpuShares, Figures } from './scenario.ts'
import type { Workbench } from './workbench.ts'

/** One measured window. */
export interface Measurement {
  readonly value: number
  readonly cpu: CpuShares
  readonly delivered: number
  readonly lost?: number
  readonly p99_ms?: number
}

/** Ours and the peer take turns (A B A B ...), so that a machine that slows down slows both; medians count. */
export async function compare<Side>(
  bench: Workbench,
  sides: BothSides<Side>,
  measure: (side: Side, round: number) => Promise<Measurement>,
): Promise<Figures> {
  const found: BothSides<Measurement[]> = { ours: [], peer: [] }
  for (let round = 1; round <= bench.options.rounds; round += 1) {
    for (const side of ['ours', 'peer'] as const) {
      const measurement = await measure(sides[side], round)
      if (measurement.delivered === 0) throw new Error(`nothing was delivered by ${side}`)
      bench.options.say(`  round ${round} ${side}: ${describe(measurement)}`)
      found[side].push(measurement)
    }
  }
  return figuresOf(found)
}

export function figuresOf({ ours, peer }: BothSides<readonly Measurement[]>): Figures {
  const [a, b] = [middleOf(ours), middleOf(peer)]
  const latency = a.p99_ms === undefined ? {} : { p99_ms: a.p99_ms }
  return {
    ours: rounded(a.value),
    peer: rounded(b.value),
    ratio: rounded(a.value / b.value),
    ...latency,
    cpu: { ours: a.cpu, peer: b.cpu },
    bounded_by: { ours: busiestOf(a.cpu), peer: busiestOf(b.cpu) },
    delivered: { ours: sum(ours, 'delivered'), peer: sum(peer, 'delivered') },
    lost: { ours: sum(ours, 'lost'), peer: sum(peer, 'lost') },
    rounds: { ours: ours.map(({ value }) => rounded(value)), peer: peer.map(({ value }) => rounded(value)) },
  }
}

/**
 * What each side does with one CPU-second of its brokers, as a ratio: on a machine that others use too it wavers
 * less than `ratio`. Only for figures that are rates.
 */
export function withRatioPerCpu(figures: Figures): Figures {
  const { ours = 0, peer = 0, cpu } = figures
  const ratio = ours / brokersOf(cpu?.ours) / (peer / brokersOf(cpu?.peer))
  return { ...figures, ratio_per_cpu: rounded(ratio) }
}

/** What is measured, of all that runs. */
function brokersOf(cpu: CpuShares = {}): number {
  return (cpu['broker'] ?? 0) + (cpu['second broker'] ?? 0) + (cpu['service'] ?? 0)
}

/** The one with the median value; of an even number the lower of both in the middle. */
function middleOf(measurements: readonly Measurement[]): Measurement {
  const middle = measurements.toSorted((left, right) => left.value - right.value)[
    Math.floor((measurements.length - 1) / 2)
  ]
  if (middle === undefined) throw new Error('nothing was measured')
  return middle
}

/** Below this share of a core a process bounds nothing. */
const busyFrom = 0.7

function busiestOf(cpu: CpuShares): string {
  const [name, share] = Object.entries(cpu).toSorted(([, left], [, right]) => right - left)[0] ?? ['', 0]
  return share < busyFrom ? 'nobody' : name
}

/** Of an even number the lower of both in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) / 2)] ?? 0
}

/** The value that this share of all does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Three digits are more than any of these figures is worth. */
export function rounded(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
}

function sum(measurements: readonly Measurement[], field: 'delivered' | 'lost'): number {
  return measurements.reduce((total, measurement) => total + (measurement[field] ?? 0), 0)
}

function describe({ value, cpu, lost = 0 }: Measurement): string {
  const shares = Object.entries(cpu).map(([name, used]) => `${name} ${Math.round(used * 100)} %`)
  return `${rounded(value)}; CPU ${shares.join(', ')}${lost === 0 ? '' : `; ${lost} LOST`}`
}
