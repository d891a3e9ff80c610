/** The chart on a whole cluster: helm installs, waits, tests, upgrades and uninstalls it, and its pods really run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generate } from 'selfsigned'
import { layOutPacked } from '../fixtures/image.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type ServedUsers, startServedUsers } from '../fixtures/served-users.ts'
import { startWholeCluster, type WholeCluster, whyNoWholeCluster } from '../fixtures/whole-cluster.ts'
import { changes, type Kept, keptOf, type LiveObject } from './kept.ts'
import { previousChart, previousPrograms, versionOf } from './previous.ts'
import { chartDirectory, programs, render } from './render.ts'

const namespace = 'messaging'
const organization = 'k7xm4pqr2n5t'
const host = `cs-cloudsignal-broker.${namespace}.svc`
/** All of it is done by a dozen programs at once, also where others keep the machine busy. */
const limit = 180_000

/** Of the chart, of the operator and of users: what is there when it is upgraded. */
const lasting = [
  'deployments',
  'services',
  'secrets',
  'serviceaccounts',
  'poddisruptionbudgets',
  'roles',
  'rolebindings',
  'organizations',
  'accesslists',
  'mqttusers',
  'apikeys',
].join(',')

describe.skipIf(whyNoWholeCluster !== undefined)('the chart on a whole cluster', { timeout: limit }, () => {
  let cluster: WholeCluster
  let certificate: { readonly cert: string; readonly private: string }
  let users: ServedUsers
  const kubectl = async (...parameters: readonly string[]): Promise<string> =>
    (await cluster.plane.kubectl(['--namespace', namespace, ...parameters])).stdout
  const helm = async (...parameters: readonly string[]): Promise<string> =>
    (await cluster.plane.helm(['--namespace', namespace, ...parameters])).stdout
  const apply = (...items: readonly object[]): Promise<unknown> =>
    cluster.plane.kubectl(
      ['--namespace', namespace, 'apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    )
  const itemsOf = async (...what: readonly string[]): Promise<readonly LiveObject[]> =>
    (JSON.parse(await kubectl('get', ...what, '-o', 'json')) as { readonly items: readonly LiveObject[] })
      .items
  const secretOf = async (name: string): Promise<Readonly<Record<string, string>>> => {
    const [secret] = await itemsOf('secrets', `--field-selector=metadata.name=${name}`)
    const entries = Object.entries(secret?.data ?? {})
    return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
  }
  const namesOf = async (kind: string): Promise<string> => kubectl('get', kind, '-o', 'name')
  const pods = ['pods', '-l', `app.kubernetes.io/component in (${programs.join(',')})`]
  const uidsOfPods = async (): Promise<readonly string[]> =>
    (await itemsOf(...pods)).map(({ metadata }) => metadata.uid)
  const tagsOfPods = async (): Promise<readonly string[]> => {
    const images = await kubectl('get', ...pods, '-o', 'jsonpath={.items[*].spec.containers[0].image}')
    return [...new Set(images.split(' ').map((image) => image.split(':').at(-1) ?? ''))]
  }
  const keptNow = async (): Promise<Kept> => keptOf(await itemsOf(lasting))
  const waiting = ['--wait', '--timeout', '150s', '--set', 'redis.secretName=cs-cloudsignal-redis']
  /** What a failure leaves no trace of otherwise. */
  const withLogs = async <T>(promise: Promise<T>): Promise<T> =>
    promise.catch(async (error: Error) => {
      const pods = await kubectl('get', 'pods', '-o', 'wide')
      throw new Error(`${error.message}\n${pods}\n${await cluster.logsOf(namespace, '')}`)
    })

  beforeAll(async () => {
    cluster = await startWholeCluster((directory) => layOutPacked(previousPrograms, directory))
    await kubectl('create', 'namespace', namespace)
    await kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted')
    certificate = await makeCertificate()
    const stringData = { 'tls.crt': certificate.cert, 'tls.key': certificate.private }
    const tls = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', stringData }
    await apply({ ...tls, metadata: { name: 'cs-cloudsignal-broker-tls' } }, ...(await redisObjects()))
    await withLogs(helm('install', 'cs', previousChart, ...waiting, '--set', 'image.tag=before'))
  }, limit)
  afterAll(() => cluster?.stop(), limit)

  test('has served users since the version before', async () => {
    const organizationRef = { name: 'acme' }
    const accessListRefs = [{ name: 'all' }]
    const rules = [{ effect: 'allow', actions: ['publish', 'subscribe'], topics: ['#'] }]
    const scopes = ['tokens:create']
    await apply(
      { ...ofUs('Organization', 'acme'), spec: { shortId: organization } },
      { ...ofUs('AccessList', 'all'), spec: { organizationRef, rules } },
      { ...ofUs('MqttUser', 'sensor'), spec: { organizationRef, accessListRefs } },
      { ...ofUs('ApiKey', 'backend'), spec: { organizationRef, accessListRefs, type: 'secret', scopes } },
    )
    const made = ['organization/acme', 'accesslist/all', 'mqttuser/sensor', 'apikey/backend']
    await withLogs(kubectl('wait', '--for=condition=Ready', ...made, '--timeout=30s'))
    const { password = '' } = await secretOf('sensor-mqtt')
    const { key = '' } = await secretOf('backend-api-key')
    users = await startServedUsers({
      mqtts: await cluster.addressOf(namespace, 'cs-cloudsignal-broker', 8883),
      tokens: await cluster.addressOf(namespace, 'cs-cloudsignal-token-service', 8080),
      tls: { ca: certificate.cert, servername: host },
      user: { username: `sensor@org_${organization}`, password },
      apiKey: key,
    })
    await eventually('messages arrive', () => users.arrived() > 20)
  })

  test('is upgraded from it: pods are replaced, users come back with what they had, and nothing that was acknowledged is lost', async () => {
    expect(await tagsOfPods()).toEqual(['before'])
    const before = await keptNow()
    const leases = await namesOf('leases')
    const podsBefore = await uidsOfPods()
    await withLogs(helm('upgrade', 'cs', chartDirectory, ...waiting))
    expect(await helm('list', '-o', 'json')).toContain(`"cloudsignal-${await versionOf(chartDirectory)}"`)
    const ready = 'jsonpath={range .items[*]}{.metadata.name}={.status.readyReplicas} {end}'
    expect(await kubectl('get', 'deployments', '-o', ready)).toBe(
      'cs-cloudsignal-broker=2 cs-cloudsignal-operator=2 cs-cloudsignal-redis=1 cs-cloudsignal-token-service=2 ',
    )
    const gone = async (): Promise<boolean> => {
      const now = await uidsOfPods()
      return now.length === podsBefore.length && !now.some((uid) => podsBefore.includes(uid))
    }
    expect(podsBefore).toHaveLength(6)
    await eventually('every pod of the version before has gone', gone, 60_000)
    expect(await tagsOfPods()).not.toContain('before')
    expect(changes(before, await keptNow())).toEqual([])
    expect(await namesOf('leases')).toBe(leases)
    await users.haveComeBack()
    const { acknowledged, missing, awayMs } = await users.end()
    console.log(JSON.stringify({ name: 'upgrade', acked: acknowledged, longest_away_ms: awayMs }))
    expect(missing).toEqual([])
  })

  test('is tested by helm with a pod that uses it', async () => {
    const said = await withLogs(helm('test', 'cs', '--timeout', '120s'))
    expect(said).toMatch(/Phase:\s+Succeeded/)
    const log = await cluster.logsOf(namespace, 'cs-cloudsignal-test')
    expect(log).toMatch(/^ok {6}all of it is removed again/m)
    expect(log).toMatch(/^It works\.$/m)
  })

  test('fails that test when somebody takes the brokers away', async () => {
    await kubectl('scale', 'deployment/cs-cloudsignal-broker', '--replicas=0')
    await kubectl('wait', '--for=delete', 'pod', '-l', 'app.kubernetes.io/component=broker', '--timeout=60s')
    await expect(helm('test', 'cs', '--timeout', '60s')).rejects.toThrow(/Failed|failed/)
    const log = await cluster.logsOf(namespace, 'cs-cloudsignal-test')
    expect(log).toMatch(/^FAILED {2}the user signs in over TLS/m)
    await kubectl('delete', 'pod', 'cs-cloudsignal-test', '--ignore-not-found')
    await kubectl('scale', 'deployment/cs-cloudsignal-broker', '--replicas=2')
  })

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

  test('leaves organizations and users when it is uninstalled', async () => {
    await withLogs(helm('uninstall', 'cs', '--wait', '--timeout', '120s'))
    const left = await kubectl('get', 'organizations,mqttusers', '-o', 'name')
    expect(left).toBe('organization.cloudsignal.app/acme\nmqttuser.cloudsignal.app/sensor\n')
    const ours = 'app.kubernetes.io/instance=cs,app.kubernetes.io/component!=redis'
    await kubectl('wait', '--for=delete', 'pod', '-l', ours, '--timeout=60s')
  })
})

const ofUs = (kind: string, name: string): object => ({
  apiVersion: 'cloudsignal.app/v1alpha1',
  kind,
  metadata: { name },
})

function makeCertificate(): Promise<{ readonly cert: string; readonly private: string }> {
  const altNames = [{ type: 2 as const, value: host }]
  return generate([{ name: 'commonName', value: 'broker' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  })
}

/** The Redis that the chart runs for trying things out, here beside it: versions before did not have one. */
async function redisObjects(): Promise<readonly object[]> {
  const objects = await render({ redis: { mode: 'development' } }, namespace)
  return objects.filter(({ metadata }) => metadata.name === 'cs-cloudsignal-redis')
}
