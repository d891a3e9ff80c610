import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { matches } from '#core/access/topic-filter.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { aMessage, expiryProperty, someFilters, someTopics } from '../../fixtures/messages.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

let server: RedisServer
let here: Redis
let there: Redis

beforeAll(async () => {
  server = await startRedisServer()
  ;[here, there] = [connectRedis(server.url, 'test', silentLog), connectRedis(server.url, 'test', silentLog)]
  for (const each of [here, there]) await untilReady(each, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  here.disconnect()
  there.disconnect()
  await server.stop()
})

const freshPrefix = (): string => `cs:{${randomUUID()}}:mq:`

async function topicsOf(persistence: RedisPersistence, ...filters: string[]): Promise<string[]> {
  const found = await Array.fromAsync(persistence.createRetainedStreamCombi(filters))
  return found.map(({ topic }) => topic)
}

const keep = (persistence: RedisPersistence, topic: string, payload = 'x', expiry?: number): Promise<void> =>
  persistence.storeRetained(
    aMessage({
      topic,
      retain: true,
      payload: Buffer.from(payload),
      ...(expiry === undefined ? {} : { properties: expiryProperty(expiry) }),
    }),
  )

/** A few hundred at a time: a busy machine takes its time, and commands have a deadline. */
async function keepAll(persistence: RedisPersistence, topics: readonly string[]): Promise<void> {
  for (let at = 0; at < topics.length; at += 500) {
    await Promise.all(topics.slice(at, at + 500).map((topic) => keep(persistence, topic)))
  }
}

const several = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

describe('retained messages in Redis', () => {
  test('that two replicas store, change, remove and let expire at once are found as what is there', async () => {
    const step = fc.tuple(fc.boolean(), fc.nat(11), fc.constantFrom('keep', 'change', '', 'over'))
    await fc.assert(
      fc.asyncProperty(
        someTopics,
        someFilters,
        fc.array(step, { maxLength: 60 }),
        async (topics, filters, steps) => {
          const prefix = freshPrefix()
          const replicas = [new RedisPersistence(here, prefix), new RedisPersistence(there, prefix)] as const
          await Promise.all(
            steps.map(([isHere, which, payload]) => {
              const topic = topics[which % topics.length] ?? ''
              return keep(replicas[isHere ? 0 : 1], topic, payload, payload === 'over' ? 0 : undefined)
            }),
          )
          // What is over is put away by the next that is stored.
          await keep(replicas[0], 'last')
          const kept = await here.hkeys(`${prefix}retained`)
          for (const filter of [...filters, '#', '$x/#']) {
            const found = await topicsOf(replicas[1], filter)
            expect(found.sort(), filter).toEqual(kept.filter((topic) => matches(filter, topic)).sort())
          }
          for (const topic of kept) await keep(replicas[1], topic, '')
          expect(await here.keys(`${prefix}*`)).toEqual([])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('take no more than eight entries each, and nothing anew when they change', async () => {
    const prefix = freshPrefix()
    const persistence = new RedisPersistence(here, prefix)
    for (const topic of ['a', 'a/b', 'a/b/c/d/e/f/g/h', 'a/b/c/d/e/f/g/h/i/j']) {
      for (const payload of ['first', 'second']) await keep(persistence, topic, payload)
    }
    expect(await here.zcard(`${prefix}retained-index`)).toBe(1 + 2 + 8 + 8)
  })

  test('are searched in one round trip in proportion to what is found, wherever the wildcards stand', async () => {
    const prefix = freshPrefix()
    const persistence = new RedisPersistence(here, prefix)
    await keepAll(
      persistence,
      several(5_000).map((index) => `a/r/${index}/c`),
    )
    await keepAll(
      persistence,
      several(10).flatMap((index) => [`a/r/${index}/b`, `a/r/${index}/b/d`]),
    )
    for (const [filter, hits] of [
      ['a/r/+/b', 10],
      ['a/+/+/b', 10],
      ['+/+/+/b', 10],
      ['+/r/7/+', 2],
      ['a/+/7/#', 3],
      ['a/r/+/b/#', 20],
      ['a/+', 0],
    ] as const) {
      const before = await commands()
      expect(await topicsOf(persistence, filter), filter).toHaveLength(hits)
      const after = await commands()
      expect(after.scripts - before.scripts, filter).toBe(1)
      // Inside of it: some for each number of levels that there are, and one for each that is found.
      expect(after.all - before.all, filter).toBeLessThan(20 + hits)
    }
  })

  test('that a filter finds late are searched in pages between which Redis serves others', async () => {
    const prefix = freshPrefix()
    const persistence = new RedisPersistence(here, prefix)
    await keepAll(
      persistence,
      several(5_000).flatMap((index) => [`r/${index}/x/1/k`, `r/${index}/y/1/z`]),
    )
    let served = 0
    const over = new AbortController()
    const others = (async () => {
      for (; !over.signal.aborted; served += 1) await there.ping()
    })()
    const before = await commands()
    // Twice at once: their pages come one after the other.
    const searches = several(2).map(() => topicsOf(persistence, '+/+/x/+/z'))
    expect(await Promise.all(searches)).toEqual([[], []])
    const after = await commands()
    over.abort()
    await others
    expect(after.scripts - before.scripts).toBeGreaterThanOrEqual(6)
    expect(served).toBeGreaterThanOrEqual(3)
  })
})

/** What the server has run so far: scripts that search, and all commands, those inside scripts too. */
async function commands(): Promise<{ scripts: number; all: number }> {
  const text = await there.info('commandstats')
  const calls = [...text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].filter(([, name]) => name !== 'info')
  const sum = (names: typeof calls): number => names.reduce((total, [, , count]) => total + Number(count), 0)
  return { scripts: sum(calls.filter(([, name]) => name?.startsWith('eval'))), all: sum(calls) }
}
