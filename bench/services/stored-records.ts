import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { ReconcileWorld } from '../../test/fixtures/reconcile-world.ts'
import { aResource } from '../../test/fixtures/resources.ts'
import { startRedis } from '../brokers/redis.ts'
import type { StoredBytes } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'
import { controlLog, RedisMeter } from './redis-meter.ts'

const rules: ResourceOf['AccessList']['spec']['rules'] = [
  { effect: 'allow', actions: ['publish', 'subscribe'], topics: ['devices/{username}/#'] },
  { effect: 'deny', actions: ['publish'], topics: ['devices/{username}/inbox/#'] },
]
const oidc = { issuer: 'https://login.example.com', audience: ['app'] }

/** What the operator writes: its reconcilers on objects as people write them, at a Redis of their own. */
export async function measureRecords(
  bench: Workbench,
  { organizations, users }: { readonly organizations: number; readonly users: number },
): Promise<StoredBytes> {
  const { url, tool } = await startRedis(bench, bench.cores.besideOne)
  const meter = await RedisMeter.at(url)
  const keys = redisKeys()
  const store = new RedisIdentityStore(meter.redis, keys, new RedisControlLog(meter.redis, keys))
  const world = new ReconcileWorld(() => store)

  const each = <K extends ResourceKindName>(
    kind: K,
    count: number,
    specOf: (index: number) => ResourceOf[K]['spec'],
  ): Promise<number> =>
    meter.each(count, async () => {
      for (let index = 0; index < count; index += 1) {
        await world.apply(aResource(kind, `${kind.toLowerCase()}-${index}`, specOf(index)))
        const ready = world.ready(kind, `${kind.toLowerCase()}-${index}`)
        if (!ready.startsWith('True')) throw new Error(`a ${kind} is not ready: ${ready}`)
      }
    })
  const inOne = (index: number) => ({ organizationRef: { name: `organization-${index}` } })
  const lists = (index: number) => ({ accessListRefs: [{ name: `accesslist-${index}` }] })
  try {
    // What there is once, such as scripts, is there before anything is counted.
    await world.apply(aResource('Organization', 'first', {}))
    return {
      organization: await each('Organization', organizations, () => ({ displayName: 'Acme, Inc.' })),
      'access list': await each('AccessList', organizations, (index) => ({ ...inOne(index), rules })),
      'identity provider': await each('IdentityProvider', organizations, (index) => ({
        ...inOne(index),
        ...lists(index),
        type: 'oidc',
        oidc,
      })),
      'API key': await each('ApiKey', organizations, (index) => ({
        ...inOne(index),
        type: 'secret',
        scopes: ['exchange', 'revoke'],
      })),
      user: await each('MqttUser', users, () => ({ ...inOne(0), ...lists(0) })),
      'entry of the control log': await meter.entry(controlLog),
    }
  } finally {
    await meter.close()
    await tool.stop()
  }
}
