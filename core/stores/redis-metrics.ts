import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Redis } from 'ioredis'
import { readGauge } from '#core/metrics/read-gauge.ts'
import { eachNode, type RedisConnection } from './redis-connection.ts'

/** What a program sees of its Redis. Nothing is done for a command: it is asked for its time twice a second anyway. */
export interface RedisMetrics {
  /** For `startRedisClock`. */
  readonly probe: RedisProbe
  /** Before it is open. */
  watch(connection: string, redis: RedisConnection): void
}

export interface RedisProbe {
  reachable(read: () => boolean): void
  /** Undefined when no answer came. */
  probed(seconds: number | undefined): void
}

const durations = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2]

/** First words of what Redis answers when it refuses; all else is `other`. */
export const errorWords = [
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'NOPERM',
  'NOAUTH',
  'WRONGPASS',
  'READONLY',
  'LOADING',
  'BUSY',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'TRYAGAIN',
  'ERR',
] as const
/** What is answered in the course of things: a script is sent with its text, a command to another node. */
const isRoutine = /^(NOSCRIPT|MOVED|ASK)\b/

export function createRedisMetrics(registry: Registry): RedisMetrics {
  return { probe: probeMetrics(registry), watch: connectionMetrics(registry) }
}

function probeMetrics(registry: Registry): RedisProbe {
  const registers = [registry]
  let read = (): boolean => false
  readGauge(registry, 'cloudsignal_redis_up', '1 while Redis answers', () => (read() ? 1 : 0))
  const duration = new Histogram({
    registers,
    name: 'cloudsignal_redis_probe_duration_seconds',
    help: 'Time of a small command, sent twice a second over the connection that the others take too',
    buckets: durations,
  })
  const failures = new Counter({
    registers,
    name: 'cloudsignal_redis_probe_failures_total',
    help: 'Small commands, sent twice a second, that had no answer within two seconds',
  })
  return {
    reachable: (reachable) => (read = reachable),
    probed: (seconds) => (seconds === undefined ? failures.inc() : duration.observe(seconds)),
  }
}

function connectionMetrics(registry: Registry): RedisMetrics['watch'] {
  const registers = [registry]
  const connections = new Map<string, RedisConnection>()
  const ready = new Gauge({
    registers,
    name: 'cloudsignal_redis_connection_ready',
    help: '1 while this connection to Redis is open',
    labelNames: ['connection'],
    collect() {
      for (const [connection, { status }] of connections)
        ready.set({ connection }, status === 'ready' ? 1 : 0)
    },
  })
  const disconnects = new Counter({
    registers,
    name: 'cloudsignal_redis_disconnects_total',
    help: 'Times that a connection to Redis, or an attempt to open one, ended',
    labelNames: ['connection'],
  })
  const errors = new Counter({
    registers,
    name: 'cloudsignal_redis_error_replies_total',
    help: 'Commands that Redis refused, by the first word of its answer',
    labelNames: ['connection', 'error'],
  })
  return (connection, redis) => {
    connections.set(connection, redis)
    disconnects.inc({ connection }, 0)
    for (const error of [...errorWords, 'other']) errors.inc({ connection, error }, 0)
    const count = (message: string): void => {
      if (isRoutine.test(message)) return
      const error = errorWords.find((word) => message.startsWith(word)) ?? 'other'
      errors.inc({ connection, error })
    }
    eachNode(redis, (node) => {
      node.on('close', () => disconnects.inc({ connection }))
      onErrorReply(node, count)
    })
  }
}

/** ioredis asks for each whether it is a reason to connect again. */
function onErrorReply({ options }: Redis, report: (message: string) => void): void {
  const decide = options.reconnectOnError
  options.reconnectOnError = (error) => {
    report(error.message)
    return decide?.(error) ?? false
  }
}
