/** Wherever in its work the operator is killed, the next one ends where an undisturbed one would have. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys, type RedisKeys } from '#core/stores/redis-keys.ts'
import { resourceTypeOf } from '../../operator/kubernetes/resource-types.ts'
import { findClusterAccess } from '../../kubernetes/cluster-access.ts'
import { KubernetesApi } from '../../operator/runtime/kubernetes-api.ts'
import { isApiError } from '../../kubernetes/api-error.ts'
import type { KubernetesObject, ResourceType } from '../../operator/runtime/objects.ts'
import { systemTime } from '../../operator/runtime/time.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { runMortalOperator } from '../fixtures/mortal-operator.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'

const crds = fileURLToPath(new URL('../../crds/', import.meta.url))
const org = 'org_k7xm4pqr2n5t'
const namespaceType: ResourceType = { group: '', version: 'v1', plural: 'namespaces', namespaced: false }
const secretType: ResourceType = { group: '', version: 'v1', plural: 'secrets', namespaced: true }
const organizationRef = { name: 'acme' }
const hour = 3_600_000
/** Worlds that are tried side by side: nobody in one sees the other. */
const atOnce = 6

interface Manifest extends KubernetesObject {
  readonly spec?: object
  readonly status?: { readonly conditions?: readonly { status: string; reason: string }[] }
  readonly data?: Readonly<Record<string, string>>
}

describe.skipIf(whyNoControlPlane !== undefined)('an operator that is killed after each of its calls', () => {
  let plane: ControlPlane
  let api: KubernetesApi
  let server: RedisServer
  let redis: RedisConnection

  beforeAll(async () => {
    ;[plane, server] = await Promise.all([startControlPlane(), startRedisServer()])
    redis = connectRedis(redisLocation(server.url), 'test', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
    await plane.kubectl(['apply', '--server-side', '-f', crds])
    await plane.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds])
    const access = await findClusterAccess({
      environment: {},
      time: systemTime,
      kubeconfig: plane.kubeconfigPath,
    })
    api = new KubernetesApi({ access })
  })
  afterAll(async () => {
    api?.close()
    redis?.disconnect()
    await Promise.all([plane?.stop(), server?.stop()])
  })

  /** One namespace and one key prefix: nobody else's world. */
  class World {
    readonly keys: RedisKeys
    readonly store: RedisIdentityStore
    readonly namespace: string

    constructor(namespace: string) {
      this.namespace = namespace
      this.keys = redisKeys(namespace)
      this.store = new RedisIdentityStore(redis, this.keys, new RedisControlLog(redis, this.keys))
    }

    async begin(): Promise<void> {
      await api.create<Manifest>(namespaceType, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: this.namespace },
      })
      const access = [{ effect: 'allow', actions: ['publish'], topics: ['a'] }]
      const rotation = { interval: '1h', overlap: '10m' }
      await this.create('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' })
      await this.create('AccessList', 'devices', { organizationRef, rules: access })
      await this.create('ApiKey', 'key', { organizationRef, type: 'secret', scopes: ['exchange'] })
      await this.create('MqttUser', 'ada', { organizationRef, access, rotation })
    }

    operate(diesAfter?: number): Promise<'died' | 'finished'> {
      const death = diesAfter === undefined ? {} : { diesAfter }
      return runMortalOperator({ api, redis, keys: this.keys, namespace: this.namespace, ...death })
    }

    async get(kind: Parameters<typeof resourceTypeOf>[0], name: string): Promise<Manifest | undefined> {
      return this.#read(resourceTypeOf(kind), name)
    }

    secret(name: string): Promise<Manifest | undefined> {
      return this.#read(secretType, name)
    }

    async delete(kind: Parameters<typeof resourceTypeOf>[0], name: string): Promise<void> {
      await api.delete(resourceTypeOf(kind), { namespace: this.namespace, name })
    }

    /** As if the password had been there for so long. */
    async age(ms: number): Promise<void> {
      const rotation = Buffer.from(JSON.stringify({ since: Date.now() - ms })).toString('base64')
      const of = { namespace: this.namespace, name: 'ada-mqtt' }
      await api.mergePatch(secretType, of, { data: { rotation } })
    }

    async password(): Promise<string> {
      return Buffer.from((await this.secret('ada-mqtt'))?.data?.['password'] ?? '', 'base64').toString()
    }

    /** All that must be the same in the end, whatever happened: without uids, versions, times and secrets. */
    async state(): Promise<object> {
      const objects = []
      for (const [kind, name] of [
        ['Organization', 'acme'],
        ['AccessList', 'devices'],
        ['ApiKey', 'key'],
        ['MqttUser', 'ada'],
      ] as const) {
        const object = await this.get(kind, name)
        const [condition] = object?.status?.conditions ?? []
        objects.push([kind, object?.metadata.finalizers, condition?.status, condition?.reason, object?.spec])
      }
      const secrets = await api.list<Manifest>(secretType, { namespace: this.namespace })
      const records = []
      for (const type of ['organization', 'user', 'access-list', 'api-key', 'provider'] as const) {
        records.push([type, ...(await this.store.names(type, org))])
      }
      return {
        objects,
        secrets: secrets.items.map(({ metadata, data = {} }) => [metadata.name, ...Object.keys(data)]),
        records,
        organizations: await this.store.organizations(),
        outbox: await redis.hgetall(this.keys.identityOutbox(org)),
        keys: Object.values(await redis.hgetall(this.keys.apiKeys)),
        isReady: await this.store.isReady(),
      }
    }

    /** Names of records that the control log tells of. */
    async told(): Promise<ReadonlySet<string>> {
      const entries = await redis.xrange(this.keys.control, '-', '+')
      return new Set(entries.map(([, fields]) => `${fields[1]} ${fields[5]}`))
    }

    async create(kind: Parameters<typeof resourceTypeOf>[0], name: string, spec: object): Promise<void> {
      const metadata = { name, namespace: this.namespace }
      await api.create<Manifest>(resourceTypeOf(kind), {
        apiVersion: 'cloudsignal.app/v1alpha1',
        kind,
        metadata,
        spec,
      })
    }

    async #read(type: ResourceType, name: string): Promise<Manifest | undefined> {
      try {
        return await api.get<Manifest>(type, { namespace: this.namespace, name })
      } catch (error) {
        if (isApiError(error, 'not-found')) return undefined
        throw error
      }
    }
  }

  /**
   * Prepares a world, has one operator die in it after its n-th call and another one finish, and judges; for every n
   * until one does not die any more. Resolves with the last state.
   */
  async function killEverywhere(
    name: string,
    prepare: (world: World) => Promise<void>,
    judge: (world: World, where: string) => Promise<void>,
  ): Promise<number> {
    const undisturbed = new World(`${name}-0`)
    await undisturbed.begin()
    await prepare(undisturbed)
    await undisturbed.operate()
    const expected = await undisturbed.state()
    await judge(undisturbed, 'undisturbed')
    const survives = async (calls: number): Promise<boolean> => {
      const world = new World(`${name}-${calls}`)
      await world.begin()
      await prepare(world)
      if ((await world.operate(calls)) === 'finished') return true
      await world.operate()
      const where = `${name}, killed after call ${calls}`
      expect(await world.state(), where).toEqual(expected)
      await judge(world, where)
      return false
    }
    for (let calls = 1; ; calls += atOnce) {
      const some = Array.from({ length: atOnce }, (_, index) => survives(calls + index))
      const first = (await Promise.all(some)).indexOf(true)
      if (first >= 0) return calls + first
    }
  }

  const binding = { kind: 'user', name: `ada@${org}` } as const

  test('while objects are new leaves one Secret each, and records that fit them', async () => {
    const calls = await killEverywhere(
      'create',
      async () => {},
      async (world, where) => {
        const record = await world.store.get('user', org, 'ada')
        const verifier = verifierOfGenerated(await world.password(), binding)
        expect(record?.verifiers, where).toEqual([{ verifier }])
        const key = Buffer.from((await world.secret('key-api-key'))?.data?.['key'] ?? '', 'base64')
        expect((await world.store.findApiKey(key.toString()))?.name, where).toBe('key')
        expect([...(await world.told())].toSorted(), where).toEqual([
          'access-list devices',
          'api-key key',
          'organization organization',
          'user ada',
        ])
      },
    )
    expect(calls).toBeGreaterThan(15)
  })

  test('while a password is rotated rotates it once, and the former one lets in meanwhile', async () => {
    const former = new Map<string, string>()
    const calls = await killEverywhere(
      'rotate',
      async (world) => {
        await world.operate()
        former.set(world.namespace, await world.password())
        await world.age(2 * hour)
      },
      async (world, where) => {
        const before = former.get(world.namespace) ?? ''
        const password = await world.password()
        expect(password, where).not.toBe(before)
        expect((await world.store.get('user', org, 'ada'))?.verifiers, where).toEqual([
          { verifier: verifierOfGenerated(password, binding) },
          { verifier: verifierOfGenerated(before, binding), notAfter: expect.any(Number) },
        ])
      },
    )
    expect(calls).toBeGreaterThan(3)
  })

  test('while a user is deleted leaves neither the user nor its record, and the others alone', async () => {
    const calls = await killEverywhere(
      'delete',
      async (world) => {
        await world.operate()
        await world.delete('MqttUser', 'ada')
      },
      async (world, where) => {
        expect(await world.get('MqttUser', 'ada'), where).toBeUndefined()
        expect(await world.store.names('user', org), where).toEqual([])
        expect(await world.store.names('access-list', org), where).toEqual(['devices'])
      },
    )
    expect(calls).toBeGreaterThan(2)
  })

  test('while a provider is deleted ends what it issued, and tells everybody', async () => {
    const calls = await killEverywhere(
      'provider',
      async (world) => {
        const oidc = { issuer: 'https://issuer.example.com', audience: ['app'] }
        await world.create('IdentityProvider', 'login', { organizationRef, type: 'oidc', oidc })
        await world.operate()
        await world.delete('IdentityProvider', 'login')
      },
      async (world, where) => {
        expect(await world.get('IdentityProvider', 'login'), where).toBeUndefined()
        expect(await world.store.names('provider', org), where).toEqual([])
        expect(await redis.zrange(world.keys.barriers(org), 0, -1), where).toEqual(['provider:login'])
        expect([...(await world.told())], where).toContain('barrier provider:login')
      },
    )
    expect(calls).toBeGreaterThan(2)
  })

  test('while an Organization is deleted leaves nothing of it in Redis', async () => {
    const calls = await killEverywhere(
      'remove',
      async (world) => {
        await world.operate()
        await world.delete('Organization', 'acme')
      },
      async (world, where) => {
        expect(await world.get('Organization', 'acme'), where).toBeUndefined()
        expect(await world.store.organizations(), where).toEqual([])
        expect((await world.get('MqttUser', 'ada'))?.status?.conditions?.[0]?.reason, where).toBe(
          'OrganizationNotFound',
        )
      },
    )
    expect(calls).toBeGreaterThan(5)
  })
})
