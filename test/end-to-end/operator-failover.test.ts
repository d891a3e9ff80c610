/** The operator on a Redis Cluster: what it had written to a master that died before its replica heard of it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { type RedisCluster, startRedisCluster } from '../fixtures/redis-cluster.ts'

const organization = 'org_k7xm4pqr2n5t'
const namespace = 'default'

function manifest(kind: string, name: string, spec: object): object {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}
const access = [{ effect: 'allow', actions: ['publish'], topics: ['a'] }]
const aUser = (name: string) => manifest('MqttUser', name, { organizationRef: { name: 'acme' }, access })

describe.skipIf(whyNoControlPlane !== undefined)('the operator on a Redis Cluster', () => {
  let cluster: OperatorCluster<RedisCluster>

  beforeAll(async () => {
    cluster = await startOperatorCluster(() => startRedisCluster())
    await cluster.apply(manifest('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' }), aUser('ada'))
  })
  afterAll(() => cluster?.stop())

  test('writes again what the new master lacks, and nothing is missing in the end', async () => {
    const operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    await cluster.ready('mqttuser', namespace, 'ada', 'True Synced')

    const place = cluster.redisServer
    const master = await place.serverOf(redisKeys().identity('user', organization))
    const replica = await place.cutReplicaOf(master)
    await cluster.apply(aUser('bob'))
    await cluster.ready('mqttuser', namespace, 'bob', 'True Synced')
    await master.kill()
    replica.resume()
    await eventually('the replica is the master', async () => {
      return (await place.serverOf(redisKeys().identity('user', organization))) === replica
    })
    await eventually('all users are there', async () => {
      const names = await cluster.store.names('user', organization).catch(() => [])
      return names.toSorted().join() === 'ada,bob'
    })
    await cluster.apply(aUser('eve'))
    await cluster.ready('mqttuser', namespace, 'eve', 'True Synced')
    expect((await cluster.store.names('user', organization)).toSorted()).toEqual(['ada', 'bob', 'eve'])
    expect(operator.output()).not.toContain('caught by nobody')
    expect(await operator.terminate()).toBe(0)
  })
})
