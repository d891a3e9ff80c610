import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startIssuer } from '../../test/fixtures/issuer.ts'
import { compare, type Measurement, rounded, withRatioPerCpu } from '../compare.ts'
import { exchangeRequests, loadHttp } from '../http-load.ts'
import { peakResidentBytesOf, startUsage } from '../process-usage.ts'
import type { BothSides, Figures, Scenario } from '../scenario.ts'
import { signTokens } from '../services/exchange-tokens.ts'
import { type BenchTokenService, startTokenService } from '../services/token-service.ts'
import type { Workbench } from '../workbench.ts'

const program = join(import.meta.dirname, '../services/jose-program.ts')
const people = 4000
/** Enough that neither side waits for the other. */
const connections = 64

interface Contest {
  readonly service: BenchTokenService
  readonly requests: string
  readonly sides: BothSides<() => Promise<Measurement>>
}

export const exchange: Scenario = {
  name: 'exchange',
  summary: 'identity tokens exchanged for MQTT credentials over HTTP, on Redis; p99 at half of that load',
  unit: 'exchanges/s',
  against: 'jose',
  goal: { figure: 'ratio', atLeast: 0.5 },
  async run(bench) {
    const issuer = await startIssuer()
    try {
      const contest = await aContest(bench, issuer, 'ES256')
      const figures = await held(bench, contest)
      const half = Math.round((figures.ours ?? 0) / 2)
      const { load } = await loadHttp(bench, contest.service, contest.requests, {
        conns: connections,
        rate: half,
      })
      const resident = await peakResidentBytesOf(contest.service.processes['service'] ?? 0)
      await contest.service.stop()
      const other = await held(bench, await aContest(bench, issuer, 'RS256'))
      return {
        ...figures,
        p99_ms: load.due_p99us / 1000,
        note: `ES256; p99 at ${half}/s; at most ${Math.round(resident / 1e6)} MB resident; RS256, which jose verifies twice as fast: ${other.ratio}x, ${other.ratio_per_cpu}x by CPU`,
      }
    } finally {
      await issuer.close()
    }
  },
}

async function held(bench: Workbench, { sides }: Contest): Promise<Figures> {
  return withRatioPerCpu(await compare(bench, sides, (measure) => measure()))
}

async function aContest(
  bench: Workbench,
  issuer: Parameters<typeof signTokens>[0],
  alg: 'ES256' | 'RS256',
): Promise<Contest> {
  const tokens = await signTokens(issuer, alg, people)
  const file = join(bench.directory, `tokens-${alg}.json`)
  await writeFile(file, JSON.stringify(tokens))
  const service = await startTokenService(bench, tokens)
  const requests = await exchangeRequests(bench, service, tokens.tokens)
  const ours = async (): Promise<Measurement> => {
    const { load, cpu } = await loadHttp(bench, service, requests, { conns: connections })
    const refused = load.limited + load.unavailable + load.other + load.broken
    if (refused > 0) bench.options.say(`  not accepted: ${JSON.stringify(load)}`)
    return { value: load.accepted / load.secs, cpu, delivered: load.accepted, lost: refused }
  }
  return { service, requests, sides: { ours, peer: () => verifyAlone(bench, file) } }
}

async function verifyAlone(bench: Workbench, file: string): Promise<Measurement> {
  const { seconds } = bench.options
  const tool = bench.start(bench.cores.first, process.execPath, [program, file, '2', String(seconds)])
  await tool.wrote(/^begin$/m, 60_000)
  const usage = await startUsage({ service: tool.pid })
  await tool.wrote(/^end$/m, 120_000)
  const cpu = await usage()
  const [line] = await tool.wrote(/^\{.*\}$/m)
  await tool.exited
  const { verified, secs } = JSON.parse(line) as { readonly verified: number; readonly secs: number }
  return { value: rounded(verified / secs), cpu, delivered: verified }
}
