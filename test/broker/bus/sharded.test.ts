import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

/** A Cluster of one node that has all slots: what sharded pub/sub asks of its client is the same with more. */
let server: RedisServer
const clusters: Cluster[] = []
const buses: RedisBus[] = []

beforeAll(async () => {
  server = await startRedisServer('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
  const control = connectRedis(server.url, 'test', silentLog)
  await untilReady(control, AbortSignal.timeout(10_000)).catch(() => {})
  await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await eventually('the cluster is ready', async () =>
    String(await control.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
  )
  control.disconnect()
})

afterAll(async () => {
  for (const bus of buses) bus.close()
  for (const cluster of clusters) cluster.disconnect()
  await server.stop()
})

async function connection(): Promise<Cluster> {
  const { hostname, port } = new URL(server.url)
  const cluster = new Cluster([{ host: hostname, port: Number(port) }], { shardedSubscribers: true })
  cluster.on('error', () => {})
  clusters.push(cluster)
  await eventually('it is connected', () => cluster.status === 'ready')
  return cluster
}

async function replica(): Promise<RedisBus> {
  const bus = new RedisBus({
    publisher: await connection(),
    subscriber: await connection(),
    keys: redisKeys(),
    log: silentLog,
  })
  buses.push(bus)
  return bus
}

const message = (topic: string): RoutedMessage => ({
  topic,
  payload: Buffer.from('x'),
  qos: 1,
  retain: false,
  brokerId: 'x',
  brokerCounter: 1,
})

describe('on a Redis Cluster', () => {
  test('messages go over sharded channels, each organization in its slot, and a cut loses none', async () => {
    const [one, two] = [await replica(), await replica()]
    const seen: string[] = []
    const foreign: string[] = []
    await one.join(anOrganizationId, () => {})
    await two.join(anOrganizationId, ({ topic }) => seen.push(topic))
    await two.join(anotherOrganizationId, ({ topic }) => foreign.push(topic))
    const control = await connection()
    expect(await control.pubsub('SHARDCHANNELS')).toContain(`${redisKeys().messaging(anOrganizationId)}bus`)
    expect(await control.pubsub('CHANNELS')).toEqual([])
    const topics = Array.from({ length: 600 }, (_, index) => `t/${index}`)
    for (const [index, topic] of topics.entries()) {
      await one.send(anOrganizationId, message(topic))
      if (index === 300) await control.nodes('master')[0]?.client('KILL', 'TYPE', 'pubsub')
    }
    await eventually('all have arrived', () => seen.length >= 600)
    expect(seen).toEqual(topics)
    expect(foreign).toEqual([])
  })
})
