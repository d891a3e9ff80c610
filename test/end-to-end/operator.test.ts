/** The operator as a process, against a real API server under the chart's ClusterRole, and a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiKeyLookup, secretKindOf } from '#core/credentials/secret.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { ControlEntry } from '#core/stores/control-log.ts'
import { makeCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import type { RunningProgram } from '../fixtures/program.ts'

const org = 'org_k7xm4pqr2n5t'
const namespace = 'team-a'

function manifest(kind: string, name: string, spec: object): object {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}

const organizationRef = { name: 'acme' }
const accessListRefs = [{ name: 'devices' }]
const story = [
  manifest('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' }),
  manifest('AccessList', 'devices', {
    organizationRef,
    rules: [{ effect: 'allow', actions: ['publish', 'subscribe'], topics: ['devices/{username}/#'] }],
  }),
  manifest('IdentityProvider', 'login', {
    organizationRef,
    accessListRefs,
    type: 'oidc',
    oidc: { issuer: 'https://issuer.example.com', audience: ['app'] },
  }),
  manifest('ApiKey', 'backend', { organizationRef, accessListRefs, type: 'secret', scopes: ['exchange'] }),
  manifest('MqttUser', 'sensor-01', { organizationRef, accessListRefs, username: 'sensor_01' }),
  manifest('MqttUser', 'chosen', { organizationRef, accessListRefs, passwordSecretRef: { name: 'own' } }),
]

interface Secret {
  readonly type: string
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>
    readonly ownerReferences: readonly object[]
    readonly resourceVersion: string
  }
  readonly data: Readonly<Record<string, string>>
}

describe.skipIf(whyNoControlPlane !== undefined)('the operator against a real API server', () => {
  let cluster: OperatorCluster
  let operator: RunningProgram
  const entries: ControlEntry[] = []

  beforeAll(async () => {
    cluster = await startOperatorCluster()
    await cluster.controlLog.follow({ entry: (entry) => void entries.push(entry), gap() {} })
    await cluster.plane.kubectl(['create', 'namespace', namespace])
    operator = cluster.startOperator()
    await operator.logged('everything is in the store')
  })
  afterAll(() => cluster?.stop())

  const secretOf = async (name: string): Promise<Secret | undefined> =>
    cluster.get<Secret>('secret', namespace, name)
  const decode = (secret: Secret | undefined, key: string): string =>
    Buffer.from(secret?.data[key] ?? '', 'base64').toString()
  const passwordOf = async (name: string): Promise<string> => decode(await secretOf(name), 'password')
  const probe = async (path: string): Promise<{ status: number; body: string }> => {
    const { port } = await operator.logged('probes are served')
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`)
    return { status: response.status, body: await response.text() }
  }

  test('the story of five kinds becomes records, and every object says that it is ready', async () => {
    await cluster.apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'own', namespace },
        stringData: { password: 'x' },
      },
      ...story,
    )
    await cluster.ready('organization', namespace, 'acme', 'True Synced')
    await cluster.ready('accesslist', namespace, 'devices', 'True Synced')
    await cluster.ready('identityprovider', namespace, 'login', 'True Synced')
    await cluster.ready('apikey', namespace, 'backend', 'True Synced')
    await cluster.ready('mqttuser', namespace, 'sensor-01', 'True Synced')
    await cluster.ready('mqttuser', namespace, 'chosen', 'True Synced')
    const { store } = cluster
    expect(await store.get('organization', org, 'organization')).toMatchObject({ source: 'team-a/acme' })
    expect((await store.get('access-list', org, 'devices'))?.rules).toHaveLength(1)
    expect(await store.get('provider', org, 'login')).toMatchObject({ type: 'oidc', lists: ['devices'] })
    expect((await store.get('user', org, 'chosen'))?.verifiers[0]?.verifier.algorithm).toBe('scrypt')
  })

  test('a user that brings no password has one in a Secret that belongs to it', async () => {
    const secret = await secretOf('sensor-01-mqtt')
    expect(secret).toMatchObject({
      type: 'kubernetes.io/basic-auth',
      metadata: { ownerReferences: [{ kind: 'MqttUser', name: 'sensor-01', controller: true }] },
    })
    expect(decode(secret, 'username')).toBe(`sensor_01@${org}`)
    expect(decode(secret, 'uri')).toBe('mqtts://mqtt.example.com:8883')
    const password = decode(secret, 'password')
    expect(secretKindOf(password)).toBe('mp')
    const binding = { kind: 'user', name: `sensor_01@${org}` } as const
    expect((await cluster.store.get('user', org, 'sensor_01'))?.verifiers).toEqual([
      { verifier: verifierOfGenerated(password, binding) },
    ])
    expect(await secretOf('chosen-mqtt')).toBeUndefined()
  })

  test('a password whose time is over is rotated in its Secret, with the rights that the chart gives', async () => {
    const rotation = { interval: '1h', overlap: '10m' }
    await cluster.apply(manifest('MqttUser', 'rotating', { organizationRef, accessListRefs, rotation }))
    await cluster.ready('mqttuser', namespace, 'rotating', 'True Synced')
    const [former, before] = [await passwordOf('rotating-mqtt'), await secretOf('rotating-mqtt')]
    const state = JSON.stringify({ since: Date.now() - 3_600_000 })
    const patch = JSON.stringify({ stringData: { rotation: state } })
    await cluster.plane.kubectl(['patch', 'secret', 'rotating-mqtt', '-n', namespace, '-p', patch])
    const binding = { kind: 'user', name: `rotating@${org}` } as const
    await eventually('both let in', async () => {
      const record = await cluster.store.get('user', org, 'rotating')
      return record?.verifiers.length === 2
    })
    const password = await passwordOf('rotating-mqtt')
    expect(password).not.toBe(former)
    expect((await cluster.store.get('user', org, 'rotating'))?.verifiers).toEqual([
      { verifier: verifierOfGenerated(password, binding) },
      { verifier: verifierOfGenerated(former, binding), notAfter: expect.any(Number) },
    ])
    expect((await secretOf('rotating-mqtt'))?.metadata.ownerReferences).toEqual(
      before?.metadata.ownerReferences,
    )
    await eventually('it is told', async () => {
      const parameters = ['get', 'events', '-n', namespace, '-o', 'jsonpath={.items[*].reason}']
      return (await cluster.plane.kubectl(parameters)).stdout.includes('PasswordRotated')
    })
    await eventually('the status says so', async () => {
      const user = await cluster.get<{ status: object }>('mqttuser', namespace, 'rotating')
      return user !== undefined && 'previousPasswordExpiry' in user.status
    })
  })

  test('an API key shows when the token service last saw it', async () => {
    interface ApiKey {
      readonly metadata: { readonly uid: string }
      readonly status: { readonly lastUsed?: string }
    }
    const key = async (): Promise<ApiKey | undefined> => cluster.get<ApiKey>('apikey', namespace, 'backend')
    const uid = (await key())?.metadata.uid ?? ''
    const at = Date.parse('2026-11-24T12:00:00.500Z')
    await new RedisApiKeyUses(cluster.redis, redisKeys()).note(org, uid, at)
    // It looks again in a quarter of an hour, or when the key changes.
    const limits = { perMinute: 1_000 }
    const spec = { organizationRef, accessListRefs, type: 'secret', scopes: ['exchange'], limits }
    await cluster.apply(manifest('ApiKey', 'backend', spec))
    await eventually('it is shown', async () => (await key())?.status.lastUsed === '2026-11-24T12:00:00Z')
    const { stdout } = await cluster.plane.kubectl(['get', 'apikeys', '-n', namespace])
    expect(stdout).toMatch(/LAST USED/)
  })

  test('an API key is found by the text in its Secret', async () => {
    const key = decode(await secretOf('backend-api-key'), 'key')
    const found = await cluster.store.findApiKey(key)
    expect(found).toMatchObject({ organization: org, name: 'backend', record: { ceiling: ['devices'] } })
    expect(found?.record.lookup).toBe(apiKeyLookup(key))
  })

  test('kubectl shows who is ready and why, by short name and by category', async () => {
    const { stdout } = await cluster.plane.kubectl(['get', 'mqu', '-n', namespace])
    expect(stdout).toMatch(/sensor-01\s+acme\s+sensor_01@org_k7xm4pqr2n5t\s+True\s+Synced/)
    const selected = await cluster.plane
      .kubectl([
        'get',
        'mqtt',
        '-n',
        namespace,
        '--field-selector=spec.organizationRef.name=other',
        '-o',
        'name',
      ])
      .catch((error: Error) => ({ stdout: error.message }))
    expect(selected.stdout).not.toContain('sensor-01')
    const { stdout: events } = await cluster.plane.kubectl(['events', '-n', namespace])
    expect(events).toMatch(/Synced\s+MqttUser\/sensor-01/)
  })

  test('a manifest that can not be right is refused with the field and what to do', async () => {
    const both = {
      organizationRef,
      passwordSecretRef: { name: 'own' },
      passwordVerifier: { algorithm: 'sha256', digest: 'a'.repeat(43) },
    }
    await expect(cluster.apply(manifest('MqttUser', 'bad', both))).rejects.toThrow(
      /spec\.passwordSecretRef: .*give either passwordSecretRef or passwordVerifier/s,
    )
    expect(await cluster.get('mqttuser', namespace, 'bad')).toBeUndefined()
  })

  test('rules that only the data plane can judge are named in the condition; the rest keeps working', async () => {
    const rules = [{ effect: 'allow', actions: ['publish'], topics: ['a/#/b'] }]
    await cluster.apply(manifest('AccessList', 'slip', { organizationRef, rules }))
    await cluster.ready('accesslist', namespace, 'slip', 'False InvalidRules')
    expect(await cluster.store.get('access-list', org, 'slip')).toBeUndefined()
    await cluster.ready('accesslist', namespace, 'devices', 'True Synced')
  })

  test('an Organization without a short id gets one that is pinned in its spec', async () => {
    await cluster.apply(manifest('Organization', 'derived', {}))
    await cluster.ready('organization', namespace, 'derived', 'True Synced')
    const { spec } = (await cluster.get<{ spec: { shortId: string } }>(
      'organization',
      namespace,
      'derived',
    )) ?? { spec: { shortId: '' } }
    expect(spec.shortId).toMatch(/^[a-z2-7]{12}$/)
    expect(await cluster.store.organizations()).toContain(`org_${spec.shortId}`)
  })

  test('another password in a Secret of a user’s own counts within seconds', async () => {
    const before = await cluster.store.get('user', org, 'chosen')
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'own', namespace } }
    await cluster.apply({ ...secret, stringData: { password: 'another' } })
    await eventually('the record changes', async () => {
      const after = await cluster.store.get('user', org, 'chosen')
      return JSON.stringify(after) !== JSON.stringify(before)
    })
  })

  test('authorities of client certificates are taken up within seconds of their Secret', async () => {
    const [certificate, clientCASecretRef] = [await makeCertificate(), { name: 'authorities' }]
    await cluster.apply(manifest('Organization', 'certified', { clientCASecretRef }))
    await cluster.ready('organization', namespace, 'certified', 'False SecretNotFound')
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'authorities', namespace } }
    await cluster.apply({ ...secret, stringData: { 'ca.crt': certificate.cert } })
    await cluster.ready('organization', namespace, 'certified', 'True Synced')
    await cluster.plane.kubectl(['delete', 'secret', 'authorities', '-n', namespace])
    await cluster.ready('organization', namespace, 'certified', 'False SecretNotFound')
    await certificate.remove()
  })

  test('it is ready, serves the metrics of controller-runtime, and never said a secret', async () => {
    expect(await probe('/readyz')).toEqual({ status: 200, body: 'ok\n' })
    const { body } = await probe('/metrics')
    expect(body).toMatch(/controller_runtime_reconcile_total\{controller="mqttuser",result="success"\} \d/)
    expect(body).toContain('leader_election_master_status')
    expect(body).toContain('process_resident_memory_bytes')
    const key = decode(await secretOf('backend-api-key'), 'key')
    for (const secret of [await passwordOf('sensor-01-mqtt'), key]) {
      expect(operator.output()).not.toContain(secret)
    }
    // A CRD that was made a moment ago: the API server asks for patience now and then.
    const lines = operator.output().split('\n')
    const own = lines.filter((line) => !line.includes('storage is (re)initializing'))
    expect(own.join('\n')).not.toMatch(/"level":"(warn|error)"/)
  })

  test('nothing is written to the API server when nothing changed', async () => {
    const before = await cluster.get<Secret>('mqttuser', namespace, 'sensor-01')
    await cluster.plane.kubectl(['annotate', 'mqu', 'sensor-01', '-n', namespace, 'note=1'])
    const annotated = await cluster.get<Secret>('mqttuser', namespace, 'sensor-01')
    await new Promise((resolve) => setTimeout(resolve, 500))
    const after = await cluster.get<Secret>('mqttuser', namespace, 'sensor-01')
    expect(annotated?.metadata.resourceVersion).not.toBe(before?.metadata.resourceVersion)
    expect(after?.metadata.resourceVersion).toBe(annotated?.metadata.resourceVersion)
  })

  test('killed and started again it keeps every password, and what went meanwhile is gone', async () => {
    const [password, key] = [await passwordOf('sensor-01-mqtt'), await secretOf('backend-api-key')]
    const record = await cluster.store.get('user', org, 'sensor_01')
    await operator.kill()
    await cluster.plane.kubectl(['delete', 'identityprovider', 'login', '-n', namespace, '--wait=false'])
    expect(await cluster.store.get('provider', org, 'login')).toBeDefined()
    entries.length = 0
    operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    expect(await passwordOf('sensor-01-mqtt')).toBe(password)
    expect(await secretOf('backend-api-key')).toEqual(key)
    expect(await cluster.store.get('user', org, 'sensor_01')).toEqual(record)
    expect(await cluster.store.get('provider', org, 'login')).toBeUndefined()
    expect(await cluster.get('identityprovider', namespace, 'login')).toBeUndefined()
    await eventually('brokers hear that what it issued has ended', () =>
      entries.some(({ type, name }) => type === 'barrier' && name === 'provider:login'),
    )
  })

  test('after a flush of Redis everything is there again, with the same passwords', async () => {
    const record = await cluster.store.get('user', org, 'sensor_01')
    await cluster.redis.flushall()
    await eventually('the store is ready again', () => cluster.store.isReady())
    expect(await cluster.store.get('user', org, 'sensor_01')).toEqual(record)
    expect(await cluster.store.findApiKey(decode(await secretOf('backend-api-key'), 'key'))).toBeDefined()
  })

  test('a deleted user is gone from the store, and the control log says so', async () => {
    entries.length = 0
    await cluster.plane.kubectl(['delete', 'mqu', 'sensor-01', '-n', namespace])
    expect(await cluster.store.get('user', org, 'sensor_01')).toBeUndefined()
    await eventually('the control log tells', () =>
      entries.some(({ type, name }) => type === 'user' && name === 'sensor_01'),
    )
    expect(await cluster.store.get('user', org, 'chosen')).toBeDefined()
  })

  test('a deleted Organization takes everything of it along, and its users say what is missing', async () => {
    await cluster.plane.kubectl(['delete', 'organization', 'acme', '-n', namespace])
    await cluster.ready('mqttuser', namespace, 'chosen', 'False OrganizationNotFound')
    expect(await cluster.store.organizations()).not.toContain(org)
  })

  test('SIGTERM ends it in order, and the next one leads at once', async () => {
    expect(await operator.terminate()).toBe(0)
    const began = performance.now()
    operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    expect(performance.now() - began).toBeLessThan(2_500)
  })
})
