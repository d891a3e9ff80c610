import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compiledTool } from './compiled-tool.ts'
import { share, startUsage } from './process-usage.ts'
import type { CpuShares } from './scenario.ts'
import type { BenchTokenService } from './services/token-service.ts'
import type { Workbench } from './workbench.ts'

/** What hload printed; times in microseconds. */
export interface HttpLoad {
  readonly accepted: number
  /** 429 and 503. */
  readonly limited: number
  readonly unavailable: number
  readonly other: number
  /** 429 and 503 that did not say when to come again. */
  readonly without_retry_after: number
  readonly broken: number
  readonly offered: number
  readonly waiting: number
  readonly secs: number
  readonly p50us: number
  readonly p99us: number
  /** Of those that were accepted, from when they were due. */
  readonly due_p99us: number
  readonly refused_p99us: number
}

export interface HttpLoadOptions {
  readonly conns: number
  /** Requests a second that are due, whatever the answers do; absent: as fast as answers come. */
  readonly rate?: number
  readonly warm?: number
}

/** Requests of exchanges, one for each token, as bytes. */
export async function exchangeRequests(
  bench: Workbench,
  { port, apiKey }: BenchTokenService,
  tokens: readonly string[],
): Promise<string> {
  const file = join(bench.directory, `exchanges-${port}`)
  const parts = tokens.flatMap((token) => {
    const body = JSON.stringify({ provider: 'people', token })
    const request = Buffer.from(
      [
        'POST /v1/token/exchange HTTP/1.1',
        `Host: 127.0.0.1:${port}`,
        `Authorization: Bearer ${apiKey}`,
        'Content-Type: application/json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        '',
        body,
      ].join('\r\n'),
    )
    const length = Buffer.alloc(4)
    length.writeUInt32LE(request.length)
    return [length, request]
  })
  await writeFile(file, Buffer.concat(parts))
  return file
}

export async function loadHttp(
  bench: Workbench,
  service: BenchTokenService,
  file: string,
  { conns, rate = 0, warm = 2 }: HttpLoadOptions,
): Promise<{ readonly load: HttpLoad; readonly cpu: CpuShares }> {
  const words = { port: service.port, file, conns, rate, warm, dur: bench.options.seconds }
  const tool = bench.start(
    bench.cores.besideOne,
    await compiledTool('hload'),
    Object.entries(words).map(([name, value]) => `${name}=${value}`),
  )
  await tool.wrote(/^begin$/m, 60_000)
  const usage = await startUsage(service.processes)
  await tool.wrote(/^end$/m, 120_000)
  const used = await usage()
  const [line] = await tool.wrote(/^\{.*\}$/m, 60_000)
  await tool.exited
  const load = JSON.parse(line) as HttpLoad & { readonly cpu: number }
  return { load, cpu: { ...used, generator: share(load.cpu) } }
}
