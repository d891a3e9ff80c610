import { setTimeout as pause } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer, RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityReader, RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { redisCluster } from '../../../broker/organizations/cluster.ts'
import { connectClient, everything, startTestBroker } from '../../fixtures/broker.ts'
import { aCredential, anOrganization, anOrganizationId as org } from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'
import { connect, createServer, type Socket } from 'node:net'

test.each([
  ['a moment', 500],
  ['longer than its lease', 8_000],
])(
  'a replica that is cut off from Redis for %s is missing, as long as revoked clients are connected there',
  async (_w, ms) => {
    const keys = redisKeys()
    const server = await startRedisServer()
    // The way of the replica to Redis, which can be cut.
    const sockets = new Set<Socket>()
    let isCut = false
    const proxy = createServer((one) => {
      if (isCut) return void one.destroy()
      const two = connect(server.port, '127.0.0.1')
      for (const [a, b] of [
        [one, two],
        [two, one],
      ] as const) {
        sockets.add(a)
        a.pipe(b)
        a.on('error', () => {})
        a.on('close', () => b.destroy())
      }
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => proxy.once('listening', resolve))
    const url = `redis://127.0.0.1:${(proxy.address() as { port: number }).port}`
    const [own, subscriber, admin] = [
      connectRedis(url, 'a', silentLog),
      connectRedis(url, 'b', silentLog),
      connectRedis(server.url, 'c', silentLog),
    ]
    for (const each of [own, subscriber, admin]) await untilReady(each, AbortSignal.timeout(5_000))
    const log = new RedisControlLog(admin, keys)
    const credentials = new RedisCredentialStore(admin, keys, log)
    const identities = new RedisIdentityStore(admin, keys, log)
    await identities.put('organization', org, 'organization', anOrganization())
    await identities.markReady()
    const access = { ...emptyPolicy, rules: [...everything] }
    await credentials.create(
      org,
      'tmp_a',
      aCredential('tmp_a', 'tmp_a-password', { access, provider: 'clerk' }),
      600,
    )
    const bus = new RedisBus({ publisher: own, subscriber, keys, log: silentLog })
    const broker = await startTestBroker({
      identities: new RedisIdentityReader(own, keys),
      credentials: new RedisCredentialRenewer(own, keys, new RedisControlLog(own, keys)),
      controlLog: new RedisControlLog(own, keys),
      cluster: redisCluster(own, own, keys, bus, silentLog),
      registry: new Registry(),
    })
    const client = await connectClient(`mqtt://127.0.0.1:${broker.port}`, 'tmp_a', {})
    isCut = true
    for (const each of sockets) each.destroy()
    await pause(ms)
    const { position } = await credentials.raiseBarrier(org, 'provider:clerk')
    const { missing } = await log.applied(position, 500)
    const isConnected = !client.closed()
    await client.end()
    isCut = false
    await pause(1_500)
    await broker.stop()
    bus.close()
    for (const each of [own, subscriber, admin]) each.disconnect()
    proxy.close()
    await server.stop()
    expect({ isConnected, missing: missing.length }).not.toEqual({ isConnected: true, missing: 0 })
  },
  40_000,
)
