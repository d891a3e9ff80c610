import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/fixtures/redis-server.ts'
import type { Tool, Workbench } from '../workbench.ts'

export interface BenchRedis {
  readonly url: string
  readonly tool: Tool
}

/** Without persistence: what is measured is the broker, not a disk. */
export async function startRedis(bench: Workbench, cores: readonly number[]): Promise<BenchRedis> {
  const port = await freePort()
  const directory = join(bench.directory, `redis-${port}`)
  mkdirSync(directory)
  const network = ['--port', String(port), '--bind', '127.0.0.1']
  const memory = ['--dir', directory, '--save', '', '--maxmemory-policy', 'noeviction']
  const tool = bench.start(cores, 'redis-server', [...network, ...memory])
  await tool.wrote(/Ready to accept connections/)
  return { url: `redis://127.0.0.1:${port}`, tool }
}
