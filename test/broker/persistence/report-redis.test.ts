import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectRedis } from '#core/stores/redis-connection.ts'
import { silentLog } from '#core/process/logger.ts'
import { reportRedis } from '../../../broker/persistence/report-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { startReplicaOf } from '../../fixtures/redis-replica.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

interface Line {
  readonly level: 'info' | 'warn'
  readonly fields: object
}

/** What is said of this Redis, each time that it is connected. */
async function reports(url: string, work: (lines: Line[]) => Promise<void>): Promise<void> {
  const lines: Line[] = []
  const redis = connectRedis(url, 'test', silentLog)
  reportRedis(redis, {
    ...silentLog,
    info: (fields) => void lines.push({ level: 'info', fields }),
    warn: (fields) => void lines.push({ level: 'warn', fields }),
  })
  await eventually('it is reported', () => lines.length === 1)
  await work(lines)
  redis.disconnect()
}

describe('of how Redis keeps what it is given', () => {
  let careful: RedisServer
  beforeAll(async () => {
    careful = await startRedisServer('--appendonly', 'yes', '--maxmemory-policy', 'noeviction')
  })
  afterAll(() => careful.stop())

  test('nothing is warned when it writes everything and evicts nothing; its replicas are counted', async () => {
    await reports(careful.url, async (lines) => {
      expect(lines).toEqual([
        { level: 'info', fields: { appendOnly: true, eviction: 'noeviction', replicas: 0 } },
      ])
    })
    const replica = await startReplicaOf(careful)
    await reports(careful.url, async ([line]) => expect(line?.fields).toMatchObject({ replicas: 1 }))
    await replica.stop()
  })

  test('both are warned of when it does neither, and again when it was connected again', async () => {
    const careless = await startRedisServer('--maxmemory-policy', 'allkeys-lru')
    await reports(careless.url, async (lines) => {
      expect(lines).toMatchObject([
        {
          level: 'warn',
          fields: {
            appendOnly: false,
            eviction: 'allkeys-lru',
            problems: [
              expect.stringContaining('appendonly yes'),
              expect.stringContaining('maxmemory-policy noeviction'),
            ],
          },
        },
      ])
      await careless.kill()
      await careless.start()
      await eventually('it is reported again', () => lines.length === 2)
    })
    await careless.stop()
  })

  test('it is said that nothing is known where INFO is not allowed', async () => {
    const closed = await startRedisServer('--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-info')
    await reports(closed.url, async ([line]) => {
      expect(line).toMatchObject({ level: 'warn', fields: { error: expect.stringContaining('NOPERM') } })
    })
    await closed.stop()
  })
})
