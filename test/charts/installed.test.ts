/** The chart on a whole cluster: helm installs, waits, tests, upgrades and uninstalls it, and its pods really run. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generate } from 'selfsigned'
import { startWholeCluster, type WholeCluster, whyNoWholeCluster } from '../fixtures/whole-cluster.ts'
import { chartDirectory, render } from './render.ts'

const namespace = 'messaging'
const previousChart = fileURLToPath(new URL('previous/cloudsignal-0.1.0.tgz', import.meta.url))
const limit = 180_000

describe.skipIf(whyNoWholeCluster !== undefined)('the chart on a whole cluster', () => {
  let cluster: WholeCluster
  const kubectl = async (...parameters: readonly string[]): Promise<string> =>
    (await cluster.plane.kubectl(['--namespace', namespace, ...parameters])).stdout
  const helm = async (...parameters: readonly string[]): Promise<string> =>
    (await cluster.plane.helm(['--namespace', namespace, ...parameters])).stdout
  const apply = (...items: readonly object[]): Promise<unknown> =>
    cluster.plane.kubectl(
      ['--namespace', namespace, 'apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    )
  const waiting = ['--wait', '--timeout', '150s', '--set', 'redis.secretName=cs-cloudsignal-redis']
  /** What a failure leaves no trace of otherwise. */
  const withLogs = async <T>(promise: Promise<T>): Promise<T> =>
    promise.catch(async (error: Error) => {
      const pods = await kubectl('get', 'pods', '-o', 'wide')
      throw new Error(`${error.message}\n${pods}\n${await cluster.logsOf(namespace, '')}`)
    })

  beforeAll(async () => {
    cluster = await startWholeCluster()
    await kubectl('create', 'namespace', namespace)
    await kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted')
    await apply(await tlsSecret('cs-cloudsignal-broker-tls'), ...(await redisObjects()))
    await withLogs(helm('install', 'cs', previousChart, ...waiting))
  }, limit)
  afterAll(() => cluster?.stop(), limit)

  test('has served users since the version before', async () => {
    await apply(
      { ...ofUs('Organization', 'acme'), spec: { shortId: 'k7xm4pqr2n5t' } },
      { ...ofUs('MqttUser', 'sensor'), spec: { organizationRef: { name: 'acme' }, access: [] } },
    )
    await withLogs(kubectl('wait', '--for=jsonpath={.status.username}', 'mqttuser/sensor', '--timeout=30s'))
  })

  test(
    'is upgraded from it, with pods that are ready, and they keep what was there',
    async () => {
      const password = await kubectl('get', 'secret', 'sensor-mqtt', '-o', 'jsonpath={.data.password}')
      await withLogs(helm('upgrade', 'cs', chartDirectory, ...waiting))
      expect(await helm('list', '-o', 'json')).toContain('"chart":"cloudsignal-0.2.0"')
      const ready = 'jsonpath={range .items[*]}{.metadata.name}={.status.readyReplicas} {end}'
      expect(await kubectl('get', 'deployments', '-o', ready)).toBe(
        'cs-cloudsignal-broker=2 cs-cloudsignal-operator=2 cs-cloudsignal-redis=1 cs-cloudsignal-token-service=2 ',
      )
      expect(await kubectl('get', 'secret', 'sensor-mqtt', '-o', 'jsonpath={.data.password}')).toBe(password)
    },
    limit,
  )

  test(
    'is tested by helm with a pod that uses it',
    async () => {
      const said = await withLogs(helm('test', 'cs', '--timeout', '120s'))
      expect(said).toMatch(/Phase:\s+Succeeded/)
      const log = await cluster.logsOf(namespace, 'cs-cloudsignal-test')
      expect(log).toMatch(/^ok {6}all of it is removed again/m)
      expect(log).toMatch(/^It works\.$/m)
    },
    limit,
  )

  test(
    'fails that test when somebody takes the brokers away',
    async () => {
      await kubectl('scale', 'deployment/cs-cloudsignal-broker', '--replicas=0')
      await kubectl(
        'wait',
        '--for=delete',
        'pod',
        '-l',
        'app.kubernetes.io/component=broker',
        '--timeout=60s',
      )
      await expect(helm('test', 'cs', '--timeout', '60s')).rejects.toThrow(/Failed|failed/)
      const log = await cluster.logsOf(namespace, 'cs-cloudsignal-test')
      expect(log).toMatch(/^FAILED {2}the user signs in over TLS/m)
      await kubectl('delete', 'pod', 'cs-cloudsignal-test', '--ignore-not-found')
      await kubectl('scale', 'deployment/cs-cloudsignal-broker', '--replicas=2')
    },
    limit,
  )

  test('lets people see and change the kinds by the roles that they have anyway', async () => {
    const as = (role: string, verb: string, what: string): Promise<boolean> =>
      kubectl('auth', 'can-i', verb, what, '--as', role).then(
        () => true,
        () => false,
      )
    for (const role of ['view', 'edit', 'admin']) {
      await kubectl('create', 'rolebinding', role, `--clusterrole=${role}`, `--user=${role}`)
    }
    const asked = ['mqttusers.cloudsignal.app', 'organizations.cloudsignal.app'].flatMap((what) =>
      ['view', 'edit', 'admin'].flatMap((role) =>
        ['get', 'create'].map((verb) => [role, verb, what] as const),
      ),
    )
    const allowed = await Promise.all(asked.map((question) => as(...question)))
    const refused = asked.filter((_, index) => allowed[index] !== true).map((question) => question.join(' '))
    expect(refused).toEqual([
      'view create mqttusers.cloudsignal.app',
      'view create organizations.cloudsignal.app',
      'edit create organizations.cloudsignal.app',
    ])
  })

  test(
    'leaves organizations and users when it is uninstalled',
    async () => {
      await withLogs(helm('uninstall', 'cs', '--wait', '--timeout', '120s'))
      const left = await kubectl('get', 'organizations,mqttusers', '-o', 'name')
      expect(left).toBe('organization.cloudsignal.app/acme\nmqttuser.cloudsignal.app/sensor\n')
      const ours = 'app.kubernetes.io/instance=cs,app.kubernetes.io/component!=redis'
      await kubectl('wait', '--for=delete', 'pod', '-l', ours, '--timeout=60s')
    },
    limit,
  )
})

const ofUs = (kind: string, name: string): object => ({
  apiVersion: 'cloudsignal.app/v1alpha1',
  kind,
  metadata: { name },
})

async function tlsSecret(name: string): Promise<object> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'broker' }], {
    keyType: 'ec',
    extensions: [
      { name: 'subjectAltName', altNames: [{ type: 2, value: `cs-cloudsignal-broker.${namespace}.svc` }] },
    ],
  })
  const stringData = { 'tls.crt': cert, 'tls.key': key }
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'kubernetes.io/tls', stringData }
}

/** The Redis that the chart runs for trying things out, here beside it: versions before did not have one. */
async function redisObjects(): Promise<readonly object[]> {
  const objects = await render({ redis: { mode: 'development' } }, namespace)
  return objects.filter(({ metadata }) => metadata.name === 'cs-cloudsignal-redis')
}
