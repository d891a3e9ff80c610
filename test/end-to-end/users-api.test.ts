/**
 * The Users API on a real API server, under the chart's Role and nothing more, with the operator, a broker and Redis:
 * all of them processes.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { findClusterAccess } from '../../kubernetes/cluster-access.ts'
import { DemoClient } from '../../standalone/demo/demo-client.ts'
import { ClusterClient } from '../../token-service/users/cluster-client.ts'
import { KubernetesUsers } from '../../token-service/users/kubernetes-users.ts'
import { ofKind, render } from '../charts/render.ts'
import { describeUserResources } from '../contracts/user-resources.ts'
import { startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'

const account = 'system:serviceaccount:messaging:cs-cloudsignal-token-service'

describe.skipIf(whyNoControlPlane !== undefined)('the Users API on a real API server', () => {
  let cluster: OperatorCluster
  let kubeconfig: string
  let client: ClusterClient
  const programs: RunningProgram[] = []

  beforeAll(async () => {
    cluster = await startOperatorCluster()
    for (const name of ['team-a', 'team-b']) await cluster.plane.kubectl(['create', 'namespace', name])
    kubeconfig = await cluster.plane.kubeconfigFor(account)
    const usersApi = { enabled: true, namespaces: ['default', 'team-a'] }
    const objects = await render({ tokenService: { usersApi } }, 'messaging')
    const rights = ['Role', 'RoleBinding'].flatMap((kind) => ofKind(objects, kind))
    await cluster.apply(...rights.filter(({ metadata }) => metadata.name.endsWith('-users')))
    const access = await findClusterAccess({ environment: {}, time: performanceTime, kubeconfig })
    client = new ClusterClient(access)
  })
  afterAll(async () => {
    client?.close()
    await Promise.all(programs.map((program) => program.kill()))
    await cluster?.stop()
  })
  const performanceTime = { monotonic: () => performance.now() }

  let homes = 0
  describeUserResources('the Kubernetes API', async () => {
    const organization = `org-${(homes += 1)}`
    const { kubectl } = cluster.plane
    // Names of objects are shared by all organizations of a namespace; those of the contract are always the same.
    await kubectl(['delete', 'mqu', '--all', '--namespace', 'default'])
    return {
      resources: new KubernetesUsers(client, silentLog),
      home: { namespace: 'default', organization },
      declare: (name, labels, spec) =>
        cluster.apply({
          apiVersion: 'cloudsignal.app/v1alpha1',
          kind: 'MqttUser',
          metadata: { name, namespace: 'default', labels },
          spec,
        }),
    }
  })

  describe('with all programs', () => {
    let certificate: TestCertificate
    let api: string
    let mqtts: number
    let keys: Record<string, string>

    beforeAll(async () => {
      const manifest = (kind: string, namespace: string, name: string, spec: object): object => ({
        apiVersion: 'cloudsignal.app/v1alpha1',
        kind,
        metadata: { name, namespace },
        spec,
      })
      const ofAcme = { organizationRef: { name: 'acme' } }
      const topics = ['devices/{username}/#']
      const rules = [{ effect: 'allow', actions: ['publish', 'subscribe'], topics }]
      const key = { ...ofAcme, type: 'secret', scopes: ['users:write', 'exchange'] }
      await cluster.apply(
        ...['team-a', 'team-b'].flatMap((namespace) => [
          manifest('Organization', namespace, 'acme', {}),
          manifest('AccessList', namespace, 'devices', { ...ofAcme, rules }),
          manifest('ApiKey', namespace, 'fleet', key),
        ]),
        manifest('MqttUser', 'team-a', 'declared', { ...ofAcme, username: 'declared' }),
      )
      programs.push(cluster.startOperator())
      certificate = await makeCertificate()
      const broker = await startReplica(cluster.redisServer.url, certificate)
      programs.push(broker.program)
      mqtts = broker.mqtts
      keys = Object.fromEntries(
        await Promise.all(['team-a', 'team-b'].map(async (name) => [name, await keyOf(name)])),
      ) as Record<string, string>
      api = await startTokenService(kubeconfig)
    })
    afterAll(() => certificate?.remove())

    async function startTokenService(config: string, over: Record<string, string> = {}): Promise<string> {
      const program = startProgram('token-service', {
        CLOUDSIGNAL_REDIS_URL: cluster.redisServer.url,
        CLOUDSIGNAL_PROBE_PORT: '0',
        CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
        CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
        CLOUDSIGNAL_TOKEN_SERVICE_USERS_API: 'true',
        CLOUDSIGNAL_TOKEN_SERVICE_KUBECONFIG: config,
        ...over,
      })
      programs.push(program)
      const { port } = await program.logged('the token service is listening')
      const at = `http://127.0.0.1:${String(port)}`
      // It listens before it has reached Redis.
      await eventually(
        'it serves',
        async () => (await call('GET', '/v1/sessions', undefined, { at })).status < 500,
      )
      return at
    }

    async function keyOf(namespace: string): Promise<string> {
      await cluster.ready('apikey', namespace, 'fleet', 'True Synced')
      const secret = await cluster.get<{ data: Record<string, string> }>('secret', namespace, 'fleet-api-key')
      return Buffer.from(secret?.data['key'] ?? '', 'base64').toString()
    }

    async function call(
      method: string,
      path: string,
      body?: object,
      { at = api, by = 'team-a' } = {},
    ): Promise<{ status: number; headers: Headers; body: Record<string, string> }> {
      const response = await fetch(`${at}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${keys[by]}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      const parsed = (text === '' ? {} : JSON.parse(text)) as Record<string, string>
      return { status: response.status, headers: response.headers, body: parsed }
    }

    const connect = (username = '', password = ''): Promise<DemoClient> =>
      DemoClient.connect({
        url: `mqtts://127.0.0.1:${mqtts}`,
        ca: certificate.cert,
        username,
        password,
        version: 5,
      })

    test('a user is made, connects, is changed, and its connection drops when it is deleted', async () => {
      const sensor = { username: 'sensor_01', access_lists: ['devices'] }
      const created = await call('POST', '/v1/users', sensor)
      expect([created.status, created.body['status']]).toEqual([201, 'active'])
      const { username, password } = created.body
      const sensorClient = await connect(username, password)
      await sensorClient.subscribe('devices/sensor_01/#')
      expect((await call('POST', '/v1/users', sensor)).body['code']).toBe('user_exists')
      expect((await call('POST', '/v1/users', { username: 'declared' })).body['code']).toBe('user_exists')

      const access = [{ effect: 'allow', actions: ['subscribe'], topics: ['news/#'] }]
      expect((await call('PATCH', '/v1/users/sensor_01', { access })).status).toBe(200)
      await sensorClient.subscribe('news/#')

      const rotated = await call('POST', '/v1/users/sensor_01/password')
      expect(rotated.status).toBe(200)
      await eventually('the connection by the former password ends', () => sensorClient.isClosed)
      await expect(connect(username, password)).rejects.toThrow('Bad User Name')
      const again = await connect(username, rotated.body['password'])
      const deleted = await call('DELETE', '/v1/users/sensor_01')
      expect([deleted.status, deleted.headers.get('cloudsignal-unconfirmed-replicas')]).toEqual([204, null])
      await eventually('its connection ends', () => again.isClosed)
      expect((await call('GET', '/v1/users/sensor_01')).body['code']).toBe('user_not_found')
    })

    test('an organization in a namespace without the Role is told so, and has all else', async () => {
      for (const [method, path, body] of [
        ['GET', '/v1/users', undefined],
        ['POST', '/v1/users', { username: 'a' }],
        ['DELETE', '/v1/users/a', undefined],
      ] as const) {
        const answer = await call(method, path, body, { by: 'team-b' })
        expect([answer.status, answer.body['code']]).toEqual([403, 'users_not_enabled'])
      }
      const exchange = await call('POST', '/v1/token/exchange', { token: 'x' }, { by: 'team-b' })
      expect(exchange.body['code']).toBe('provider_required')
    })

    test('while the API server does not answer users are 503, and nothing else is', async () => {
      const away = `${kubeconfig}-away`
      await writeFile(
        away,
        (await readFile(kubeconfig, 'utf8')).replaceAll(cluster.plane.server, 'https://127.0.0.1:9'),
      )
      const at = await startTokenService(away)
      for (const [method, path, body] of [
        ['GET', '/v1/users', undefined],
        ['POST', '/v1/users', { username: 'a' }],
        ['PATCH', '/v1/users/a', { suspended: true }],
        ['POST', '/v1/users/a/password', undefined],
        ['DELETE', '/v1/users/a', undefined],
      ] as const) {
        const answer = await call(method, path, body, { at })
        expect([answer.status, answer.body['code']]).toEqual([503, 'users_unavailable'])
        expect(answer.headers.get('retry-after')).toBe('5')
      }
      const exchange = await call('POST', '/v1/token/exchange', { token: 'x' }, { at })
      expect(exchange.body['code']).toBe('provider_required')
    })

    test('where it is not enabled it says so', async () => {
      const at = await startTokenService('', { CLOUDSIGNAL_TOKEN_SERVICE_USERS_API: 'false' })
      const answer = await call('GET', '/v1/users', undefined, { at })
      expect([answer.status, answer.body['code']]).toEqual([403, 'users_not_enabled'])
    })

    test('while the operator is away a user is written, and in force once it is back', async () => {
      await cluster.killOperators()
      const created = await call('POST', '/v1/users', { username: 'late', access_lists: ['devices'] })
      expect([created.status, created.body['status']]).toEqual([202, 'pending'])
      await expect(connect(created.body['username'], created.body['password'])).rejects.toThrow(
        'Bad User Name',
      )
      programs.push(cluster.startOperator())
      await eventually(
        'it is active',
        async () => (await call('GET', '/v1/users/late')).body['status'] === 'active',
        20_000,
      )
      const late = await connect(created.body['username'], created.body['password'])
      late.close()
    })
  })
})
