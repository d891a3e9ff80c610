import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, test, type TestContext } from 'vitest'
import type { Redis } from 'ioredis'
import { type Log, silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { StrictCluster } from '#core/redis/strict-cluster.ts'
import {
  closeRedis,
  connectRedis,
  duplicateConnection,
  nodeOf,
  type RedisConnection,
  untilReady,
} from '#core/stores/redis-connection.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { startRedisSentinels } from '../../fixtures/redis-sentinel.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

// All at once: nearly all of their time is waiting for servers to notice something.
type Context = Pick<TestContext, 'onTestFinished'>

async function opened<T extends { stop(): Promise<void> }>(
  { onTestFinished }: Context,
  place: Promise<T>,
): Promise<T> {
  const started = await place
  onTestFinished(() => started.stop())
  return started
}

async function connected(
  { onTestFinished }: Context,
  url: string,
  log: Log = silentLog,
): Promise<RedisConnection> {
  const redis = connectRedis(redisLocation(url), 'test', log)
  onTestFinished(() => redis.disconnect())
  await untilReady(redis, AbortSignal.timeout(10_000))
  return redis
}

const answers =
  (redis: RedisConnection, key = 'key') =>
  async (): Promise<boolean> =>
    (await redis.set(key, 'value').catch(() => undefined)) === 'OK'

async function msUntil(what: string, check: () => boolean | Promise<boolean>): Promise<number> {
  const began = performance.now()
  await eventually(what, check)
  return performance.now() - began
}

function recordingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = []
  const line = (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`)
  return { lines, log: { debug: line, info: line, warn: line, error: line } }
}

describe.concurrent('a connection that is open and silent', () => {
  test('ends, and there is another one once Redis answers again', async (context) => {
    const { expect } = context
    const server = await opened(context, startRedisServer())
    const redis = (await connected(context, server.url)) as Redis
    const { stream } = redis
    context.onTestFinished(() => server.resume())
    server.suspend()
    expect(await msUntil('it has ended', () => stream.destroyed)).toBeLessThan(3_500)
    server.resume()
    expect(await msUntil('another one', answers(redis))).toBeLessThan(3_000)
  })

  test('stays while Redis is only slow', async (context) => {
    const { expect } = context
    const server = await opened(context, startRedisServer('--enable-debug-command', 'yes'))
    const redis = (await connected(context, server.url)) as Redis
    const { stream } = redis
    for (let round = 0; round < 2; round += 1) await redis.call('DEBUG', 'SLEEP', '1.5')
    expect(redis.stream).toBe(stream)
    expect(await answers(redis)()).toBe(true)
  })
})

describe.concurrent('with Sentinels', () => {
  test('every connection finds the new master when the former one dies, and none waits meanwhile', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisSentinels())
    const { log, lines } = recordingLog()
    const connections = await Promise.all(
      Array.from({ length: 20 }, () => connected(context, place.url, log)),
    )
    const duplicate = duplicateConnection(connections[0] as Redis)
    context.onTestFinished(() => duplicate.disconnect())
    let fresh = 0
    for (const redis of connections) redis.on('ready', () => (fresh += 1))
    await place.master.kill()
    await eventually('all have noticed', () => connections.every(({ status }) => status !== 'ready'))
    const began = performance.now()
    await expect(connections[0]?.get('key')).rejects.toThrow()
    expect(performance.now() - began).toBeLessThan(500)
    await eventually('there is a new master', async () => (await place.masterPort()) === place.replica.port)
    const back = [...connections, duplicate].map((redis) => msUntil('it is reached', answers(redis)))
    expect(Math.max(...(await Promise.all(back)))).toBeLessThan(3_000)
    // Also once the last of the Sentinels has said so.
    await pause(1_000)
    expect(fresh).toBe(20)
    expect(lines.filter((line) => line.startsWith('Redis can not be reached'))).toHaveLength(20)
    expect(lines.filter((line) => line.startsWith('Redis is reached again'))).toHaveLength(20)
  })

  test('a master that hangs is left as soon as there is another', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisSentinels({ password: 'p', sentinelPassword: 's' }))
    const redis = await connected(context, place.url)
    context.onTestFinished(() => place.master.resume())
    place.master.suspend()
    await eventually('there is a new master', async () => (await place.masterPort()) === place.replica.port)
    expect(await msUntil('it is reached', answers(redis))).toBeLessThan(2_000)
  })

  test('a master that does not know yet that it is none any more gets no further writes', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisSentinels())
    const redis = (await connected(context, place.url)) as Redis
    const { stream } = redis
    await place.handOver()
    expect(await msUntil('it is left', () => stream.destroyed)).toBeLessThan(500)
    await eventually('the other one is reached', answers(redis))
    expect((redis.stream as Socket).remotePort).toBe(place.replica.port)
  })

  test('a Sentinel that is away, or does not know the master, is passed over; when all are, it is said why', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisSentinels())
    await place.sentinels[0]?.kill()
    expect(await answers(await connected(context, place.url))()).toBe(true)
    const { log, lines } = recordingLog()
    const wrong = connectRedis(redisLocation(place.url.replace('mymaster', 'other')), 'test', log)
    context.onTestFinished(() => wrong.disconnect())
    await eventually('it is said', () => lines.some((line) => line.includes('No such master')))
    expect(lines).toHaveLength(1)
  })
})

describe.concurrent('with a Cluster', () => {
  const keyOn = async (place: RedisCluster, master: number): Promise<string> => {
    for (let index = 0; ; index += 1) {
      if ((await place.serverOf(`{${index}}`)) === place.masters[master]) return `{${index}}`
    }
  }

  test('all masters are connected from the start, and a command that comes to the wrong one fails, once', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster({ replicasEach: 0 }))
    const redis = (await connected(context, place.url)) as StrictCluster
    const [here, there] = [await keyOn(place, 0), await keyOn(place, 1)]
    expect(await Promise.all([here, there].map((key) => redis.incr(key)))).toEqual([1, 1])
    const slot = await redis.cluster('KEYSLOT', there)
    redis.slots[slot] = [`127.0.0.1:${place.masters[0]?.port}`]
    await expect(redis.incr(there)).rejects.toThrow(/^MOVED/)
    await eventually('it knows better', async () => (await redis.get(there).catch(() => '')) === '1')
    expect(await redis.incr(there)).toBe(2)
  })

  test('while one master is away its keys are refused at once and the others served; then its replica has them', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster())
    const { log, lines } = recordingLog()
    const redis = await connected(context, place.url, log)
    const [lost, kept] = [await keyOn(place, 0), await keyOn(place, 1)]
    const former = nodeOf(redis, lost)
    expect(await answers(redis, lost)()).toBe(true)
    await place.masters[0]?.kill()
    await eventually('it is refused', async () => !(await answers(redis, lost)()))
    const began = performance.now()
    await expect(redis.get(lost)).rejects.toThrow()
    expect(performance.now() - began).toBeLessThan(500)
    expect(await answers(redis, kept)()).toBe(true)
    await eventually('there is a new master', async () => (await place.serverOf(lost)) !== place.masters[0])
    expect(await msUntil('it is reached', answers(redis, lost))).toBeLessThan(3_000)
    expect(nodeOf(redis, lost)).not.toBe(former)
    expect(lines.filter((line) => line.startsWith('a node of the Redis Cluster can not'))).toHaveLength(1)
    expect(lines.filter((line) => line.startsWith('the Redis Cluster has other masters'))).toHaveLength(1)
  })

  test('a master that hangs is left as soon as there is another', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster())
    const redis = await connected(context, place.url)
    const lost = await keyOn(place, 0)
    context.onTestFinished(() => place.masters[0]?.resume())
    place.masters[0]?.suspend()
    await eventually('there is a new master', async () => (await place.serverOf(lost)) !== place.masters[0])
    expect(await msUntil('it is reached', answers(redis, lost))).toBeLessThan(3_000)
  })

  test('who asks for nothing meanwhile learns of the next master as well', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster({ nodeTimeoutMs: 3_000 }))
    const redis = await connected(context, place.url)
    const lost = await keyOn(place, 0)
    context.onTestFinished(() => place.masters[0]?.resume())
    place.masters[0]?.suspend()
    await eventually('there is a new master', async () => (await place.serverOf(lost)) !== place.masters[0])
    const knows = (): boolean => nodeOf(redis, lost)?.options.port !== place.masters[0]?.port
    expect(await msUntil('it is known', knows)).toBeLessThan(1_000)
  })

  test('all nodes may go and come back', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster({ replicasEach: 0 }))
    const { log, lines } = recordingLog()
    const redis = await connected(context, place.url, log)
    await Promise.all(place.masters.map((server) => server.kill()))
    await eventually('it has noticed', () =>
      lines.some((line) => line.startsWith('Redis can not be reached')),
    )
    await expect(redis.get('key')).rejects.toThrow()
    await Promise.all(place.masters.map((server) => server.start()))
    expect(await msUntil('it is reached', answers(redis))).toBeLessThan(5_000)
    expect(lines.some((line) => line.startsWith('Redis is reached again'))).toBe(true)
  })

  test('is closed without waiting for a node that hangs', async (context) => {
    const { expect } = context
    const place = await opened(context, startRedisCluster({ replicasEach: 0 }))
    const redis = await connected(context, place.url)
    context.onTestFinished(() => place.masters[0]?.resume())
    place.masters[0]?.suspend()
    const began = performance.now()
    await closeRedis(redis)
    expect(performance.now() - began).toBeLessThan(2_500)
  })
})
