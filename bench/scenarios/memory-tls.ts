import { benchCertificate } from '../brokers/bench-certificate.ts'
import { startOurs } from '../brokers/ours.ts'
import { median, rounded } from '../compare.ts'
import { type IdleConnections, measureIdle } from '../idle-connections.ts'
import type { Scenario } from '../scenario.ts'

const connections = 1000

export const memoryTls: Scenario = {
  name: 'memory-tls',
  summary: `resident memory per idle connection over TLS 1.3, ${connections} of them, and the CPU that one takes to sign in`,
  unit: 'KB/connection',
  against: '-',
  goal: { figure: 'ours', atMost: 60 },
  async run(bench) {
    const certificate = await benchCertificate(bench)
    const found: IdleConnections[] = []
    for (let round = 1; round <= bench.options.rounds; round += 1) {
      // Memory that was used once is not given back.
      const target = await startOurs(bench, { certificate })
      const measured = await measureIdle(bench, target, connections)
      bench.options.say(`  round ${round}: ${JSON.stringify(measured)}`)
      found.push(measured)
      await target.stop()
    }
    const cpuMs = median(found.map((each) => each.cpuMs))
    return {
      ours: rounded(median(found.map(({ kilobytes }) => kilobytes))),
      rounds: { ours: found.map(({ kilobytes }) => rounded(kilobytes)) },
      delivered: { ours: found.reduce((sum, { count }) => sum + count, 0) },
      note: `${rounded(cpuMs)} ms of CPU for each to sign in, its handshake in it: ${Math.round(1000 / cpuMs)} a second for each core; ${found[0]?.megabytesBefore} MB resident without any`,
    }
  },
}
