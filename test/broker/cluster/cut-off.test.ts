import { setTimeout as pause } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer, RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityReader } from '#core/stores/redis-identity-reader.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { redisCluster } from '../../../broker/organizations/cluster.ts'
import { connectClient, everything, startTestBroker } from '../../fixtures/broker.ts'
import { aCredential, anOrganization, anOrganizationId as org } from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'
import { startSeverableWay } from '../../fixtures/severable-way.ts'

test.each([
  ['a moment', 500],
  ['longer than its lease', 8_000],
])(
  'a replica that is cut off from Redis for %s is missing, as long as revoked clients are connected there',
  async (_w, ms) => {
    const keys = redisKeys()
    const server = await startRedisServer()
    const way = await startSeverableWay(server.port)
    const [own, subscriber, admin] = [
      connectRedis(way.url, 'a', silentLog),
      connectRedis(way.url, 'b', silentLog),
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
    way.cut()
    await pause(ms)
    const { position } = await credentials.raiseBarrier(org, 'provider:clerk')
    const { missing } = await log.applied([position], 500)
    const isConnected = !client.closed()
    await client.end()
    way.mend()
    await pause(1_500)
    await broker.stop()
    bus.close()
    for (const each of [own, subscriber, admin]) each.disconnect()
    way.stop()
    await server.stop()
    expect({ isConnected, missing: missing.length }).not.toEqual({ isConnected: true, missing: 0 })
  },
  40_000,
)
