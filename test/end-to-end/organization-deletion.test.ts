/** An Organization, or its namespace, is deleted at a real API server: what Kubernetes sees, and what is left in Redis. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type OrganizationId } from '#core/organizations/organization-id.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { resourceTypeOf, secretType } from '../../operator/kubernetes/resource-types.ts'
import type { KubernetesApi } from '../../operator/runtime/kubernetes-api.ts'
import type { KubernetesObject, ResourceType } from '../../operator/runtime/objects.ts'
import { isApiError } from '../../kubernetes/api-error.ts'
import { type TestClient, useClients } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { connectToApi } from '../fixtures/kubernetes-api.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { untilNoTrace } from '../fixtures/redis-traces.ts'
import { type GuardedRedis, startGuardedRedis } from '../fixtures/redis-users.ts'

const org = 'org_k7xm4pqr2n5t'
const keys = redisKeys()
const namespaceType: ResourceType = { group: '', version: 'v1', plural: 'namespaces', namespaced: false }
const organizationRef = { name: 'acme' }
const access = [{ effect: 'allow', actions: ['publish', 'subscribe'], topics: ['#'] }]

interface Manifest extends KubernetesObject {
  readonly spec?: object
  readonly data?: Readonly<Record<string, string>>
}

function manifest(kind: string, name: string, spec: object, namespace = 'default'): Manifest {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}

describe.skipIf(whyNoControlPlane !== undefined)('an Organization that is deleted', () => {
  let cluster: OperatorCluster<GuardedRedis>
  let certificate: TestCertificate
  let replica: Replica
  let api: KubernetesApi
  const connectTo = useClients()

  beforeAll(async () => {
    ;[cluster, certificate] = await Promise.all([startOperatorCluster(startGuardedRedis), makeCertificate()])
    const { urlOf } = cluster.redisServer
    const operator = cluster.startOperator({
      CLOUDSIGNAL_REDIS_URL: urlOf('operator'),
      CLOUDSIGNAL_OPERATOR_UPKEEP_SECONDS: '1',
      CLOUDSIGNAL_OPERATOR_FINALIZER_SECONDS: '60',
    })
    replica = await startBroker()
    api = await connectToApi(cluster.plane.kubeconfigPath)
    await operator.logged('everything is in the store')
  })
  afterAll(async () => {
    api?.close()
    await replica?.program.kill()
    await Promise.all([cluster?.stop(), certificate?.remove()])
  })
  const others: Replica[] = []
  afterEach(async () => {
    await Promise.all(others.splice(0).map(({ program }) => program.kill()))
  })

  const startBroker = (): Promise<Replica> =>
    startReplica(cluster.redisServer.urlOf('broker'), certificate, {
      CLOUDSIGNAL_BROKER_MAX_STALENESS_SECONDS: '6',
    })
  const acme = (spec: object = {}): Manifest =>
    manifest('Organization', 'acme', { shortId: org.slice(4), ...spec })
  const passwordOf = async (name: string): Promise<string> => {
    const secret = await api.get<Manifest>(secretType, { namespace: 'default', name: `${name}-mqtt` })
    return Buffer.from(secret.data?.['password'] ?? '', 'base64').toString()
  }
  const connect = async (clientId: string): Promise<TestClient> =>
    connectTo(`mqtts://127.0.0.1:${replica.mqtts}`, 'ada', {
      password: await passwordOf('ada'),
      clientId,
      ca: certificate.cert,
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3_600 },
    })
  async function use(spec: object = {}): Promise<void> {
    await cluster.apply(acme(spec), manifest('MqttUser', 'ada', { organizationRef, access }))
    await cluster.ready('mqttuser', 'default', 'ada', 'True Synced')
    await cluster.ready('organization', 'default', 'acme', 'True Synced')
    const client = await connect('waits')
    await client.mqtt.subscribeAsync('news/#', { qos: 1 })
    await client.mqtt.publishAsync('news/1', 'kept', { qos: 1, retain: true })
    await client.end()
  }
  const deleteAcme = (): Promise<unknown> =>
    cluster.plane.kubectl(['delete', 'organization', 'acme', '--timeout=60s'])
  const left = async (): Promise<string[]> =>
    (await cluster.redis.keys(`${keys.own(org)}*`)).filter((key) => !key.includes(':id:'))

  test('is there until a broker has removed what it had, and one that is made anew finds nothing', async () => {
    await use()
    const client = await connect('here')
    await deleteAcme()
    expect(client.goodbyes).toHaveLength(1)
    expect(await left()).toEqual([])
    await cluster.ready('mqttuser', 'default', 'ada', 'False OrganizationNotFound')
    await cluster.apply(acme())
    await cluster.ready('organization', 'default', 'acme', 'True Synced')
    await cluster.ready('mqttuser', 'default', 'ada', 'True Synced')
    const anew = await eventually('its user is let in', () => connect('waits').catch(() => undefined))
    expect(anew.sessionPresent).toBe(false)
    await anew.mqtt.subscribeAsync('#', { qos: 1 })
    await anew.mqtt.publishAsync('news/2', 'new', { qos: 1 })
    await eventually('it hears what is new', () => anew.received.length > 0)
    expect(anew.received.map(({ payload }) => payload)).toEqual(['new'])
    await deleteAcme()
  }, 60_000)

  test('that retains gives sessions and messages to one that is made anew, for users that were not', async () => {
    await use({ deletionPolicy: 'Retain' })
    await deleteAcme()
    expect((await left()).some((key) => key.endsWith('session:user:ada/waits'))).toBe(true)
    await cluster.apply(acme())
    await cluster.ready('mqttuser', 'default', 'ada', 'True Synced')
    const back = await eventually('its user is let in', () => connect('waits').catch(() => undefined))
    expect(back.sessionPresent).toBe(true)
    await back.mqtt.subscribeAsync('news/1', { qos: 1 })
    await eventually('what was retained comes', () => back.received.length > 0)
    await back.end()
    await deleteAcme()
    expect(await left()).toEqual([])
  }, 60_000)

  test('while no broker runs is let go, and a later one of the same short id waits for a broker', async () => {
    await use()
    await replica.program.terminate()
    await deleteAcme()
    expect(await left()).not.toEqual([])
    await cluster.apply(acme())
    await cluster.ready('organization', 'default', 'acme', 'False Purging')
    replica = await startBroker()
    await cluster.ready('organization', 'default', 'acme', 'True Synced')
    expect((await left()).filter((key) => /session:|retained/.test(key))).toEqual([])
    await deleteAcme()
  }, 60_000)

  /** Its controller, which deletes what is in it, does not run here: its objects are deleted one after the other. */
  test('with its namespace leaves nothing, in whatever order its objects go', async () => {
    const orders = permutations(['Organization', 'MqttUser', 'AccessList', 'Secret'] as const)
    const worlds = orders.map((order, index) => {
      const shortId = `aaaaaaaaaa${'abcdefghijklmnopqrstuvwxyz'[index]}a`
      return {
        order,
        shortId,
        namespace: `tenant-${index}`,
        organization: `org_${shortId}` as OrganizationId,
      }
    })
    await Promise.all(worlds.map(({ namespace, shortId }) => create(namespace, shortId)))
    await eventually(
      'all users are in Redis',
      async () => {
        const counts = await Promise.all(
          worlds.map(({ organization }) => cluster.store.count('user', organization)),
        )
        return counts.every((count) => count === 1)
      },
      60_000,
    )
    for (const { organization } of worlds) {
      const prefix = keys.messaging(organization)
      await cluster.redis.hset(`${prefix}retained`, 'a', 'b')
      await cluster.redis.set(keys.credential(organization, 'tmp_1'), '1 2 {}')
    }
    await Promise.all(worlds.map(({ namespace, order }) => deleteIn(namespace, order)))
    await eventually('nothing hangs', async () => (await remaining()).length === 0, 60_000).catch(async () =>
      expect(await remaining()).toEqual([]),
    )
    const organizations = worlds.map(({ organization }) => organization)
    await untilNoTrace(cluster.redis, organizations, 60_000)
  }, 240_000)

  const members = {
    Organization: ['Organization', 'acme'],
    AccessList: ['AccessList', 'devices', 'ApiKey', 'key'],
    MqttUser: ['MqttUser', 'ada'],
    Secret: ['Secret', 'ada-mqtt', 'Secret', 'key-api-key'],
  } as const

  async function create(namespace: string, shortId: string): Promise<void> {
    await api.create<Manifest>(namespaceType, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    })
    const make = (
      kind: Parameters<typeof resourceTypeOf>[0],
      name: string,
      spec: object,
    ): Promise<Manifest> => api.create<Manifest>(resourceTypeOf(kind), manifest(kind, name, spec, namespace))
    await make('Organization', 'acme', { shortId })
    await make('AccessList', 'devices', { organizationRef, rules: access })
    await make('ApiKey', 'key', { organizationRef, type: 'secret', scopes: ['exchange'] })
    await make('MqttUser', 'ada', { organizationRef, accessListRefs: [{ name: 'devices' }] })
  }

  /** As the controller of namespaces does: nothing new may come, then kind by kind, and it waits for none. */
  async function deleteIn(namespace: string, order: readonly (keyof typeof members)[]): Promise<void> {
    await api.delete(namespaceType, { name: namespace })
    for (const group of order) {
      const named: readonly string[] = members[group]
      for (let at = 0; at < named.length; at += 2) {
        const [kind = '', name = ''] = named.slice(at)
        const type = kind === 'Secret' ? secretType : resourceTypeOf(kind as 'Organization')
        await api.delete(type, { namespace, name }).catch((error: unknown) => {
          if (!isApiError(error, 'not-found')) throw error
        })
      }
    }
  }

  async function remaining(): Promise<string[]> {
    const { stdout } = await cluster.plane.kubectl(['get', 'mqtt', '-A', '--no-headers'])
    return stdout.split('\n').filter((line) => line.startsWith('tenant-'))
  }
})

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  )
}
