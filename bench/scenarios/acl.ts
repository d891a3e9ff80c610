import { join } from 'node:path'
import { startOurs } from '../brokers/ours.ts'
import { type DecisionCost, rulesAround } from '../decisions.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'
import type { Workbench } from '../workbench.ts'

const program = join(import.meta.dirname, '../decisions-program.ts')
const counts = [1, 10, 100]

/** Both sides are ours: what a hundred rules take of what one leaves. */
export const acl: Scenario = {
  name: 'acl',
  summary: `qos0 judged by 100 rules beside the same by 1; one decision by itself with ${counts.join(', ')} rules`,
  unit: 'messages/s',
  against: '1 rule',
  goal: { figure: 'ratio', atLeast: 0.9 },
  async run(bench) {
    const decisions = await decisionCosts(bench)
    const sides = {
      ours: await startOurs(bench, { rules: rulesAround('bench/#', 100) }),
      peer: await startOurs(bench, { rules: rulesAround('bench/#', 1) }),
    }
    const figures = await compareThroughput(bench, sides, { ...oneToOne, qos: 0 })
    return { ...figures, decisions, note: decisions.map(describe).join('; ') }
  },
}

async function decisionCosts(bench: Workbench): Promise<readonly DecisionCost[]> {
  const tool = bench.start(bench.cores.first, process.execPath, [program, ...counts.map(String)])
  const [line] = await tool.wrote(/^\[.*\]$/m, 120_000)
  await tool.exited
  return JSON.parse(line) as readonly DecisionCost[]
}

function describe({ rules, publish_ns, receive_ns, bytes }: DecisionCost): string {
  const { literal, prefix, pattern } = publish_ns
  return `${rules} rules: publish ${literal} ns by a literal, ${prefix} by a prefix, ${pattern} by a pattern, receive ${receive_ns} ns, ${bytes} bytes allocated`
}
