/** The health checks of docs/install/argo-cd.md, run by the Lua that Redis has in it: 5.1, as Argo CD's. */
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { AnyResource } from '#core/resources/index.ts'
import { notReady, readyReasons, synced, withReadiness } from '../../operator/reconcilers/readiness.ts'
import { type ConnectedRedis, startConnectedRedis } from '../fixtures/connected-redis.ts'
import { ReconcileWorld } from '../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aUserResource } from '../fixtures/resources.ts'
import { blockOf, readPage } from './page-blocks.ts'

type Checks = Readonly<Record<string, { readonly 'health.lua': string }>>

const { blocks } = await readPage('install/argo-cd.md')
const config = parse(blockOf(blocks, 'argocd-cm.yaml')) as { data: { 'resource.customizations': string } }
const checks = parse(config.data['resource.customizations']) as Checks

let server: ConnectedRedis
let redis: Redis
beforeAll(async () => {
  server = await startConnectedRedis()
  redis = await server.connection()
})
afterAll(() => server.stop())

async function healthOf(object: object, of = 'cloudsignal.app/*'): Promise<string> {
  const script = `local obj = cjson.decode(ARGV[1])
    local check = function() ${checks[of]?.['health.lua'] ?? ''} end
    return cjson.encode(check())`
  const { status } = JSON.parse(String(await redis.eval(script, 0, JSON.stringify(object)))) as {
    readonly status: string
  }
  return status
}

describe('the health that Argo CD sees', () => {
  const generation = 3
  const seen = (over: object = {}): object => ({ metadata: { generation }, ...over })

  test.each([
    ['nobody has seen', seen(), 'Progressing'],
    ['the operator is about to see', seen({ status: {} }), 'Progressing'],
    ['was seen before it was changed', seen({ status: { observedGeneration: 2 } }), 'Progressing'],
  ])('of an object that %s is %3$s', async (_, object, health) => {
    expect(await healthOf(object)).toBe(health)
  })

  const exceptions: Readonly<Record<string, string>> = {
    Synced: 'Healthy',
    Suspended: 'Suspended',
    OrganizationSuspended: 'Suspended',
    StoreUnavailable: 'Progressing',
  }
  test.each(readyReasons)('of an object with the reason %s is one of what the page says', async (reason) => {
    const readiness = reason === 'Synced' ? synced('done') : notReady(reason, 'because')
    const status = withReadiness({ metadata: { generation } }, readiness, 0)
    expect(await healthOf(seen({ status }))).toBe(exceptions[reason] ?? 'Degraded')
    const deleted = { metadata: { generation, deletionTimestamp: '2026-11-25T12:00:00Z' }, status }
    expect(await healthOf(deleted)).toBe('Progressing')
  })

  test('follows what the operator writes: a user before its organization, then with it, then suspended', async () => {
    const world = new ReconcileWorld()
    const user = (): Promise<string> =>
      healthOf(world.host.get('MqttUser', 'default', 'sensor') as AnyResource)
    const spec = { accessListRefs: [{ name: 'devices' }] }
    await world.apply(aUserResource('sensor', spec))
    expect(await user()).toBe('Degraded')
    await world.apply(anOrganizationResource(), aList('devices'))
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'sensor' })
    expect(await user()).toBe('Healthy')
    expect(await healthOf(world.host.get('Organization', 'default', 'acme') as AnyResource)).toBe('Healthy')
    await world.apply(aUserResource('sensor', { ...spec, suspended: true }))
    expect(await user()).toBe('Suspended')
  })

  test('of an Application is what Argo CD has found', async () => {
    const of = 'argoproj.io/Application'
    expect(await healthOf({}, of)).toBe('Progressing')
    expect(await healthOf({ status: { health: { status: 'Degraded' } } }, of)).toBe('Degraded')
  })
})
