import { describe, expect, test } from 'vitest'
import { redisLocation } from '#core/redis/redis-location.ts'
import { expanded } from '../fixtures/cluster-node/pod-environment.ts'
import {
  type Container,
  ofKind,
  podOf,
  type ProgramName,
  programs,
  render,
  type RenderedObject,
} from './render.ts'

/** What the program reads: as a kubelet puts it together, with the value of a Secret's key named after the key. */
function urlOf({ env }: Container): string {
  const values: Record<string, string> = {}
  for (const { name, value, valueFrom } of env) {
    const ref = valueFrom?.secretKeyRef
    const text = value ?? (ref === undefined ? '' : `${ref.name}-${ref.key}`)
    values[name] = expanded(text, values)
  }
  return values['CLOUDSIGNAL_REDIS_URL'] ?? ''
}

const locationOf = (objects: readonly RenderedObject[], program: ProgramName): unknown =>
  redisLocation(urlOf(podOf(objects, program).spec.containers[0]))

describe('Redis, as the chart tells the programs of it,', () => {
  const users = {
    operator: { name: 'cloudsignal-operator', passwordKey: 'operator' },
    broker: { name: 'cloudsignal-broker', passwordKey: 'broker' },
    tokenService: { name: 'cloudsignal-token-service', passwordKey: 'token-service' },
  }
  const address = (host: string, port: number): object => ({ host, port })

  test('is one that all sign in to with one password', async () => {
    const objects = await render({ redis: { mode: 'standalone', hosts: ['redis.data:6380'], database: 3 } })
    for (const program of programs) {
      expect(locationOf(objects, program)).toEqual({
        mode: 'single',
        isTls: false,
        password: 'cloudsignal-redis-password',
        address: address('redis.data', 6380),
        database: 3,
      })
    }
  })

  test('is one with an ACL user for each program', async () => {
    const redis = { mode: 'standalone', secretName: 'r', hosts: ['redis'], users, tls: { enabled: true } }
    const objects = await render({ redis })
    expect(programs.map((program) => locationOf(objects, program))).toMatchObject(
      programs.map((program) => ({
        isTls: true,
        username: `cloudsignal-${program}`,
        password: `r-${program}`,
      })),
    )
  })

  test('has Sentinels, with a user of their own', async () => {
    const sentinel = { name: 'watcher', passwordKey: 'sentinels' }
    const redis = {
      mode: 'sentinel',
      hosts: ['s1:26379', 's2:26379'],
      sentinelMaster: 'main',
      users: { ...users, sentinel },
      tls: { enabled: true, secretName: 'ca' },
    }
    expect(locationOf(await render({ redis }), 'broker')).toEqual({
      mode: 'sentinel',
      isTls: true,
      username: 'cloudsignal-broker',
      password: 'cloudsignal-redis-broker',
      sentinels: [address('s1', 26379), address('s2', 26379)],
      master: 'main',
      database: 0,
      sentinelUsername: 'watcher',
      sentinelPassword: 'cloudsignal-redis-sentinels',
    })
  })

  test('is a Cluster', async () => {
    const objects = await render({ redis: { mode: 'cluster', hosts: ['n1:7000', '[fd00::1]:7001'], users } })
    expect(locationOf(objects, 'token-service')).toEqual({
      mode: 'cluster',
      isTls: false,
      username: 'cloudsignal-token-service',
      password: 'cloudsignal-redis-token-service',
      nodes: [address('n1', 7000), address('fd00::1', 7001)],
    })
  })

  test.each(['standalone', 'sentinel', 'cluster'])(
    'wants no password where there is none, %s',
    async (mode) => {
      const objects = await render({ redis: { mode, hosts: ['a:1'], secretName: '' } })
      const { env } = podOf(objects, 'broker').spec.containers[0]
      expect(env.filter(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined)).toEqual([])
      expect(locationOf(objects, 'broker')).not.toHaveProperty('password')
    },
  )

  test('is run by the chart for trying things out, and only then', async () => {
    const redisOf = (objects: readonly RenderedObject[]): readonly string[] =>
      objects.filter(({ metadata }) => metadata.name === 'cs-cloudsignal-redis').map(({ kind }) => kind)
    expect(redisOf(await render())).toEqual([])
    const objects = await render({ redis: { mode: 'development' } })
    expect(redisOf(objects)).toEqual(['Secret', 'Service', 'Deployment'])
    const [secret] = ofKind(objects, 'Secret') as unknown as readonly [
      { readonly stringData: { readonly url: string; readonly password: string } },
    ]
    expect(redisLocation(secret.stringData.url)).toEqual({
      mode: 'single',
      isTls: false,
      password: secret.stringData.password,
      address: address('cs-cloudsignal-redis.messaging.svc', 6379),
      database: 0,
    })
    for (const program of programs) {
      expect(urlOf(podOf(objects, program).spec.containers[0])).toBe('cs-cloudsignal-redis-url')
    }
  })
})
