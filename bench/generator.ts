import type { Target } from './brokers/target.ts'
import { compiledTool } from './compiled-tool.ts'
import { share, startUsage } from './process-usage.ts'
import type { CpuShares } from './scenario.ts'
import type { Tool, Workbench } from './workbench.ts'

export interface Load {
  /** What the generator printed. */
  readonly printed: Readonly<Record<string, number>>
  /** Protocol and cipher that were negotiated; empty without TLS. */
  readonly cipher: string
  readonly cpu: CpuShares
}

/** Runs the generator to its end; CPU is what was used between its own `begin` and `end`. */
export async function generate(
  bench: Workbench,
  target: Target,
  mode: string,
  options: Readonly<Record<string, string | number>>,
): Promise<Load> {
  const tool = await startGenerator(bench, target, mode, options)
  await tool.wrote(/^begin$/m, 60_000)
  const usage = await startUsage(target.processes)
  await tool.wrote(/^end$/m, 120_000)
  const used = await usage()
  const printed = await finish(tool)
  const cipher = String((printed as Readonly<Record<string, unknown>>)['tls'] ?? '')
  return { printed, cipher, cpu: { ...used, generator: share(printed['cpu'] ?? 0) } }
}

export async function startGenerator(
  bench: Workbench,
  target: Target,
  mode: string,
  options: Readonly<Record<string, string | number>>,
): Promise<Tool> {
  const { login, tls = false, publish, subscribe } = target
  const who = login === undefined ? {} : { user: login.user, pass: login.password, users: login.users }
  const all = { pport: publish, sport: subscribe, ...who, ...(tls ? { tls: 1 } : {}), ...options }
  const words = Object.entries(all).map(([key, value]) => `${key}=${value}`)
  return bench.start(target.generator, await generatorProgram(tls), [mode, ...words])
}

/** Its one line of JSON; rejects when it saw an error, such as a client that was refused or cut off. */
export async function finish(tool: Tool): Promise<Readonly<Record<string, number>>> {
  const [line] = await tool.wrote(/^\{.*\}$/m, 120_000)
  await tool.exited
  const printed = JSON.parse(line) as Record<string, number>
  if (printed['error'] !== undefined || (printed['errs'] ?? 0) > 0) {
    throw new Error(`the generator met an error: ${line}`)
  }
  return printed
}

export function generatorProgram(tls: boolean): Promise<string> {
  return compiledTool('mload', tls ? ['-DMLOAD_TLS', '-lssl', '-lcrypto'] : [])
}
