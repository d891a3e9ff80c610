import { join } from 'node:path'
import type { Tool, Workbench } from '../workbench.ts'
import { startRedis } from './redis.ts'
import type { Target } from './target.ts'

const program = join(import.meta.dirname, 'stock-aedes-program.ts')

export interface StockAedesOptions {
  readonly replicas?: 1 | 2
}

/** What one gets without us: aedes 1.2.0 on Redis, a replica or two. */
export async function startStockAedes(bench: Workbench, options: StockAedesOptions = {}): Promise<Target> {
  const { first, second, besideOne, besideTwo } = bench.cores
  const beside = options.replicas === 2 ? besideTwo : besideOne
  const redis = await startRedis(bench, beside)
  const a = await startReplica(bench, first, redis.url)
  const b = options.replicas === 2 ? await startReplica(bench, second, redis.url) : undefined
  return {
    publish: a.port,
    subscribe: (b ?? a).port,
    processes: {
      broker: a.tool.pid,
      ...(b === undefined ? {} : { 'second broker': b.tool.pid }),
      redis: redis.tool.pid,
    },
    generator: beside,
    async stop() {
      await Promise.all([a.tool.stop(), b?.tool.stop()])
      await redis.tool.stop()
    },
  }
}

async function startReplica(
  bench: Workbench,
  cores: readonly number[],
  redisUrl: string,
): Promise<{ readonly tool: Tool; readonly port: number }> {
  const tool = bench.start(cores, process.execPath, [program, redisUrl])
  const [, port] = await tool.wrote(/^listening on (\d+)$/m)
  return { tool, port: Number(port) }
}
