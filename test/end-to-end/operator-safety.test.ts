/** What the operator says, and what it leaves alone, before a real API server under the rights that the chart gives. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { type ReadyReason, readyReasons } from '../../operator/reconcilers/readiness.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import type { RunningProgram } from '../fixtures/program.ts'
import { aSealingKeyText } from '../fixtures/sealing.ts'

const crds = fileURLToPath(new URL('../../crds/', import.meta.url))
const org = 'org_k7xm4pqr2n5t'
const organizationRef = { name: 'acme' }
const access = [{ effect: 'allow', actions: ['publish'], topics: ['a'] }]
const digest = 'a'.repeat(43)

interface Shown {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly status?: {
    readonly conditions?: readonly { status: string; reason: string; message: string }[]
  }
}

function manifest(kind: string, name: string, spec: object, namespace = 'default'): object {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}
function secret(name: string, stringData: object): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, stringData }
}
const user = (name: string, spec: object = {}, namespace = 'default'): object =>
  manifest('MqttUser', name, { organizationRef, access, ...spec }, namespace)
const supabase = (name: string): object =>
  manifest('IdentityProvider', name, {
    organizationRef,
    accessListRefs: [{ name: 'devices' }],
    type: 'supabase',
    supabase: { url: 'https://abc.supabase.co', jwtSecretRef: { name } },
  })
const weakKey = (): string => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  return publicKey.export({ format: 'pem', type: 'spki' }) as string
}

/** Of each reason the object that shows it, and what leads to it. */
const scenarios: Readonly<
  Record<Exclude<ReadyReason, 'StoreUnavailable' | 'SecretUnusable'>, readonly [string, ...object[]]>
> = {
  Synced: ['Organization acme', manifest('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' })],
  Suspended: ['MqttUser suspended', user('suspended', { suspended: true })],
  OrganizationSuspended: [
    'MqttUser of-suspended',
    manifest('Organization', 'quiet', { shortId: 'aaaabbbbcccc', suspended: true }),
    user('of-suspended', { organizationRef: { name: 'quiet' } }),
  ],
  OrganizationNotFound: ['MqttUser homeless', user('homeless', { organizationRef: { name: 'none' } })],
  NamespaceNotAllowed: [
    'MqttUser stranger',
    user('stranger', { organizationRef: { name: 'acme', namespace: 'default' } }, 'elsewhere'),
  ],
  ShortIdConflict: ['Organization thief', manifest('Organization', 'thief', { shortId: 'k7xm4pqr2n5t' })],
  UsernameConflict: [
    'MqttUser twin-b',
    user('twin-a', { username: 'twin' }),
    user('twin-b', { username: 'twin' }),
  ],
  UserLimitReached: [
    'MqttUser surplus',
    manifest('Organization', 'small', { shortId: 'ddddeeeeffff', limits: { users: 1 } }),
    user('fits', { organizationRef: { name: 'small' } }),
    user('surplus', { organizationRef: { name: 'small' } }),
  ],
  AccessListNotFound: [
    'MqttUser listless',
    user('listless', { access: [], accessListRefs: [{ name: 'none' }] }),
  ],
  NoAccess: ['MqttUser idle', user('idle', { access: [] })],
  InvalidRules: [
    'MqttUser slip',
    user('slip', { access: [{ effect: 'allow', actions: ['publish'], topics: ['a/#/b'] }] }),
  ],
  InvalidPattern: [
    'ApiKey pattern',
    manifest('ApiKey', 'pattern', {
      organizationRef,
      type: 'secret',
      scopes: ['tokens:create'],
      agentIdPattern: '(',
    }),
  ],
  PublicKeyUnusable: [
    'IdentityProvider weak',
    manifest('IdentityProvider', 'weak', {
      organizationRef,
      accessListRefs: [{ name: 'devices' }],
      type: 'clerk',
      clerk: { issuer: 'https://clerk.example.com', publicKey: weakKey() },
    }),
  ],
  SecretNotFound: ['MqttUser forgetful', user('forgetful', { passwordSecretRef: { name: 'none' } })],
  SecretKeyMissing: [
    'MqttUser keyless',
    secret('keyless', { other: 'x' }),
    user('keyless', { passwordSecretRef: { name: 'keyless' } }),
  ],
  SecretConflict: ['MqttUser crowded', secret('crowded-mqtt', { password: 'somebody’s' }), user('crowded')],
  Purging: ['Organization heir', manifest('Organization', 'heir', { shortId: 'ccccddddeeee' })],
  SealingKeyMissing: [
    'IdentityProvider legacy',
    secret('legacy', { secret: 'x'.repeat(32) }),
    supabase('legacy'),
  ],
}

describe.skipIf(whyNoControlPlane !== undefined)('the operator under the rights of the chart', () => {
  let cluster: OperatorCluster
  let operator: RunningProgram
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-safety-'))
    cluster = await startOperatorCluster()
    await cluster.plane.kubectl(['create', 'namespace', 'elsewhere'])
    await cluster.apply(
      ...scenarios.Synced.slice(1).filter((each) => typeof each === 'object'),
      manifest('AccessList', 'devices', { organizationRef, rules: access }),
    )
    operator = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_UPKEEP_SECONDS: '1' })
    await operator.logged('everything is in the store')
  })
  afterAll(async () => {
    await cluster?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const conditions = async (): Promise<ReadonlyMap<string, { text: string; message: string }>> => {
    const { stdout } = await cluster.plane.kubectl(['get', 'mqtt', '-A', '-o', 'json'])
    const { items } = JSON.parse(stdout) as { items: readonly Shown[] }
    return new Map(
      items.map(({ kind, metadata, status }) => {
        const [condition] = status?.conditions ?? []
        const text = condition === undefined ? 'none' : `${condition.status} ${condition.reason}`
        return [`${kind} ${metadata.name}`, { text, message: condition?.message ?? '' }]
      }),
    )
  }
  const metric = async (line: RegExp): Promise<boolean> => {
    const { port } = await operator.logged('probes are served')
    return line.test(await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text())
  }
  const restart = async (over: Readonly<Record<string, string>> = {}): Promise<void> => {
    expect(await operator.terminate()).toBe(0)
    operator = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_UPKEEP_SECONDS: '1', ...over })
    await operator.logged('everything is in the store')
  }

  test('gives every reason for which an object is not ready, with what to do, and no other', async () => {
    const entries = Object.entries(scenarios)
    // One of the short id of `heir` was deleted, and no broker runs.
    await cluster.redis.set(redisKeys().tombstone('org_ccccddddeeee'), '1 delete')
    await cluster.apply(...entries.flatMap(([, [, ...objects]]) => objects as object[]))
    const expected = new Map(
      entries.map(([reason, [name]]) => [name, `${reason === 'Synced' ? 'True' : 'False'} ${reason}`]),
    )
    let shown = await conditions()
    await eventually('all are as expected', async () => {
      shown = await conditions()
      return [...expected].every(([name, text]) => shown.get(name)?.text === text)
    }).catch(() => {})
    expect(new Map([...expected.keys()].map((name) => [name, shown.get(name)?.text]))).toEqual(expected)
    for (const name of expected.keys()) expect(shown.get(name)?.message, name).not.toBe('')
    const others = ['StoreUnavailable', 'SecretUnusable']
    expect([...Object.keys(scenarios), ...others].toSorted()).toEqual([...readyReasons].toSorted())
  })

  test('with a key to seal with says what is wrong with a secret instead, and without Redis that it is away', async () => {
    const file = join(directory, 'sealing-keys')
    await writeFile(file, aSealingKeyText())
    await restart({ CLOUDSIGNAL_SEALING_KEYS_FILE: file })
    await cluster.ready('identityprovider', 'default', 'legacy', 'True Synced')
    await cluster.apply(secret('legacy', { secret: 'short' }))
    await cluster.ready('identityprovider', 'default', 'legacy', 'False SecretUnusable')
    await cluster.redisServer.kill()
    await cluster.apply(user('late'))
    await cluster.ready('mqttuser', 'default', 'late', 'False StoreUnavailable')
    await cluster.redisServer.start()
    await cluster.ready('mqttuser', 'default', 'late', 'True Synced')
  })

  test('mends what somebody changed in Redis by hand, and counts it', async () => {
    await eventually('the store is ready', () => cluster.store.isReady().catch(() => false))
    const before = await cluster.store.get('user', org, 'late')
    expect(before).toBeDefined()
    const users = redisKeys().identity('user', org)
    await cluster.redis.hdel(users, 'late')
    await eventually('it is back', async () => (await cluster.store.get('user', org, 'late')) !== undefined)
    await cluster.redis.hset(users, 'late', JSON.stringify({ ...before, suspended: true }))
    await eventually('it is as it was', async () => {
      return (await cluster.store.get('user', org, 'late'))?.suspended === false
    })
    expect(await cluster.store.get('user', org, 'late')).toEqual(before)
    await cluster.redis.hset(users, 'nobody', JSON.stringify({ ...before, uid: 'forged' }))
    await eventually('who was added by hand is gone', async () => {
      return !(await cluster.store.names('user', org)).includes('nobody')
    })
    expect(await metric(/cloudsignal_operator_drift_repaired_total\{kind="MqttUser"\} 2/)).toBe(true)
    expect(await metric(/cloudsignal_operator_orphans_deleted_total [1-9]/)).toBe(true)
  })

  test('keeps all records when a kind is removed with every object of it, until the manifests are back', async () => {
    const names = Array.from({ length: 15 }, (_, index) => `device-${index}`)
    const fleet = names.map((name) => user(name, { passwordVerifier: { algorithm: 'sha256', digest } }))
    await cluster.apply(...fleet)
    const stored = async (): Promise<string[]> =>
      (await cluster.store.names('user', org)).filter((name) => name.startsWith('device-'))
    await eventually('all are there', async () => (await stored()).length === names.length)
    await cluster.plane.kubectl(['delete', 'crd', 'mqttusers.cloudsignal.app', '--timeout=30s'])
    const { msg } = await eventually('it is told', () =>
      operator
        .output()
        .split('\n')
        .map((line) => (line.startsWith('{') ? (JSON.parse(line) as { msg: string }) : { msg: '' }))
        .find((line) => line.msg.includes('have no object any more')),
    )
    expect(await stored()).toHaveLength(names.length)
    expect(await metric(/cloudsignal_operator_orphans_held [1-9]/)).toBe(true)
    const { stdout: events } = await cluster.plane.kubectl(['get', 'events', '-n', 'messaging', '-o', 'json'])
    expect(events).toContain('RemovalHeld')
    await cluster.plane.kubectl(['apply', '--server-side', '-f', crds])
    await cluster.plane.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds])
    await cluster.apply(...fleet.slice(0, 3))
    for (const name of names.slice(0, 3)) await cluster.ready('mqttuser', 'default', name, 'True Synced')
    expect(await stored()).toHaveLength(names.length)
    expect(msg).toContain('annotate --overwrite lease')

    // Those who are not applied again are let go by whoever says so, and nobody else is.
    await eventually(
      'the rest is gone',
      async () => {
        await confirm()
        return (await stored()).length === 3
      },
      20_000,
    )
    expect(await metric(/cloudsignal_operator_orphans_held 0/)).toBe(true)
  })

  /** Does what the operator says last, once more if it is done already. */
  async function confirm(): Promise<void> {
    const commands = operator.output().match(/kubectl (-n \S+ annotate --overwrite lease \S+ [^\s"]+)/g) ?? []
    await cluster.plane.kubectl((commands.at(-1) ?? '').split(' ').slice(1))
  }

  test('of a few namespaces does all its work with Roles there, and touches nothing elsewhere', async () => {
    await cluster.plane.kubectl(['create', 'namespace', 'team'])
    expect(await operator.terminate()).toBe(0)
    const limited = await cluster.startOperatorOf(['team'])
    const spec = { organizationRef: { name: 'ours' } }
    await cluster.apply(
      manifest('Organization', 'ours', {}, 'team'),
      user('ours', { ...spec, rotation: { interval: '1h' } }, 'team'),
      manifest('ApiKey', 'ours', { ...spec, type: 'secret', scopes: ['exchange'] }, 'team'),
      user('theirs', {}, 'elsewhere'),
    )
    await cluster.ready('organization', 'team', 'ours', 'True Synced')
    await cluster.ready('mqttuser', 'team', 'ours', 'True Synced')
    await cluster.ready('apikey', 'team', 'ours', 'True Synced')
    const state = JSON.stringify({ stringData: { rotation: JSON.stringify({ since: 1 }) } })
    await cluster.plane.kubectl(['patch', 'secret', 'ours-mqtt', '-n', 'team', '-p', state])
    await eventually('it was rotated', async () => {
      const shown = await cluster.get<{ status: object }>('mqttuser', 'team', 'ours')
      return shown !== undefined && 'previousPasswordExpiry' in shown.status
    })
    for (const kind of ['apikey', 'mqttuser', 'organization']) {
      await cluster.plane.kubectl(['delete', kind, 'ours', '-n', 'team', '--timeout=20s'])
    }
    await eventually('nothing of it is left', async () => {
      const ours = (await cluster.store.organizations()).filter(
        (id) => ![org, 'org_aaaabbbbcccc', 'org_ddddeeeeffff'].includes(id),
      )
      return ours.length === 0
    })
    expect((await cluster.get<Shown>('mqttuser', 'elsewhere', 'theirs'))?.status).toBeUndefined()
    expect(limited.output()).not.toMatch(/forbidden/i)
    expect(await limited.terminate()).toBe(0)
  })
})
