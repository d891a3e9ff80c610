import type { CpuShares, Result } from './scenario.ts'

/** A scenario that could not be measured. */
export interface Failure {
  readonly name: string
  readonly error: string
}

const titles = ['name', 'ours', 'peer', 'against', 'ratio', 'goal', 'holds', 'CPU ours', 'CPU peer'] as const

/** For a terminal. */
export function textTable(outcomes: readonly (Result | Failure)[]): string {
  const rows = [[...titles], ...outcomes.map(rowOf)]
  const widths = titles.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [...lines, '', ...remarks(outcomes)].join('\n')
}

export function markdownTable(outcomes: readonly (Result | Failure)[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(titles),
    `|${'---|'.repeat(titles.length)}`,
    ...outcomes.map((outcome) => line(rowOf(outcome))),
  ].join('\n')
}

function rowOf(outcome: Result | Failure): string[] {
  if ('error' in outcome) return [outcome.name, 'FAILED', '', '', '', '', '', '', '']
  const { name, unit, against, goal, holds, cpu } = outcome
  return [
    name,
    amount(outcome.ours ?? outcome.p99_ms ?? outcome.seconds ?? outcome.rss_mb, unit),
    amount(outcome.peer, unit),
    against,
    outcome.ratio === undefined ? '' : `${outcome.ratio}x`,
    goal,
    holds === undefined ? '' : holds ? 'yes' : 'NO',
    shares(cpu?.ours),
    shares(cpu?.peer),
  ]
}

function amount(value: number | undefined, unit: string): string {
  return value === undefined ? '' : `${value >= 1000 ? value.toLocaleString('en') : value} ${unit}`
}

function shares(cpu: CpuShares | undefined): string {
  return Object.entries(cpu ?? {})
    .map(([name, used]) => `${name} ${Math.round(used * 100)} %`)
    .join(', ')
}

/** What makes a figure doubtful. */
function remarks(outcomes: readonly (Result | Failure)[]): string[] {
  return outcomes.flatMap((outcome) => {
    if ('error' in outcome) return [`${outcome.name} FAILED: ${outcome.error}`]
    const { name, bounded_by, lost, note } = outcome
    return (['ours', 'peer'] as const)
      .flatMap((side) => [
        bounded_by?.[side] === 'generator' ? `${name}: the generator was the limit of ${side}` : undefined,
        (lost?.[side] ?? 0) > 0 ? `${name}: ${lost?.[side]} messages were lost by ${side}` : undefined,
      ])
      .concat(note === undefined ? undefined : `${name}: ${note}`)
      .filter((remark) => remark !== undefined)
  })
}
