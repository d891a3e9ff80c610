import { Gauge, type Registry } from 'prom-client'
import type { RedisDurability } from './report-redis.ts'

/** What Redis says of itself that decides whether it keeps what it is given, and for how long it has room. */
export interface RedisServerMetrics {
  /** `node` is its `address:port`. */
  seen(node: string, durability: RedisDurability, memory: RedisMemory): void
  gone(node: string): void
}

export interface RedisMemory {
  readonly usedBytes: number
  /** 0 for no limit. */
  readonly mostBytes: number
}

export function createRedisServerMetrics(registry: Registry): RedisServerMetrics {
  const gauge = (name: string, help: string): Gauge<'node'> =>
    new Gauge({
      registers: [registry],
      name: `cloudsignal_broker_redis_${name}`,
      help,
      labelNames: ['node'],
    })
  const gauges = {
    appendOnly: gauge('append_only', '1 where Redis writes everything to a file as it comes'),
    noeviction: gauge(
      'noeviction',
      '1 where Redis refuses what it has no room for, instead of dropping other',
    ),
    replicas: gauge('connected_replicas', 'Replicas of Redis that follow this node'),
    used: gauge('memory_used_bytes', 'Memory that Redis uses for data'),
    most: gauge('memory_max_bytes', 'Memory that Redis may use for data; 0 for no limit'),
  }
  return {
    seen(node, { appendOnly, eviction, replicas }, { usedBytes, mostBytes }) {
      gauges.appendOnly.set({ node }, appendOnly ? 1 : 0)
      gauges.noeviction.set({ node }, eviction === 'noeviction' ? 1 : 0)
      gauges.replicas.set({ node }, replicas)
      gauges.used.set({ node }, usedBytes)
      gauges.most.set({ node }, mostBytes)
    },
    gone(node) {
      for (const each of Object.values(gauges)) each.remove({ node })
    },
  }
}
