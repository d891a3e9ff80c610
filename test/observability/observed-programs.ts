import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programRegistry } from '#core/metrics/program-registry.ts'
import { silentLog } from '#core/process/logger.ts'
import { type DemoIssuer, startDemoIssuer } from '../../standalone/demo-issuer.ts'
import { type Standalone, startStandalone } from '../../standalone/standalone.ts'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { startProgram } from '../fixtures/program.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { type GuardedRedis, startGuardedRedis } from '../fixtures/redis-users.ts'

export const observedPrograms = ['operator', 'broker', 'token-service', 'standalone'] as const
export type ObservedProgram = (typeof observedPrograms)[number]

/** The programs as they run in a cluster, and standalone on a Redis of its own. */
export interface ObservedPrograms {
  /** Where each serves its metrics. */
  readonly ports: Readonly<Record<ObservedProgram, number>>
  /** A little of everything that people, devices and those who run them do; each time more of it. */
  work(): Promise<void>
  stop(): Promise<void>
}

interface Credential {
  readonly id: string
  readonly username: string
  readonly password: string
}

const issuerInExamples = 'http://127.0.0.1:8087'
const tester = `apiVersion: cloudsignal.app/v1alpha1
kind: ApiKey
metadata: { name: tester }
spec:
  organizationRef: { name: acme }
  type: secret
  scopes: [exchange, "tokens:create", revoke]
  accessListRefs: [{ name: people }]
`

export async function startObservedPrograms(): Promise<ObservedPrograms> {
  const [cluster, issuer, certificate, redis, state] = await Promise.all([
    startOperatorCluster(startGuardedRedis),
    startDemoIssuer({ port: 0 }),
    makeCertificate(),
    startRedisServer(),
    mkdtemp(join(tmpdir(), 'cloudsignal-observed-')),
  ])
  const { urlOf } = cluster.redisServer
  const operator = cluster.startOperator({ CLOUDSIGNAL_REDIS_URL: urlOf('operator') })
  const tokenService = startProgram('token-service', {
    CLOUDSIGNAL_REDIS_URL: urlOf('token-service'),
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
  })
  const [broker, standalone] = await Promise.all([
    startReplica(urlOf('broker'), certificate),
    startStandaloneOn(redis, state),
    applyExamples(cluster, issuer),
  ])
  const http = await tokenService.logged('the token service is listening')
  const { port: operatorPort } = await operator.logged('probes are served')
  return {
    ports: {
      operator: Number(operatorPort),
      broker: broker.probes,
      'token-service': Number(http['probes']),
      standalone: standalone.ports.probes,
    },
    work: worker({ cluster, issuer, certificate, broker, httpPort: Number(http['port']) }),
    async stop() {
      await Promise.all([broker.program.kill(), tokenService.kill(), standalone.close()])
      await Promise.all([cluster.stop(), issuer.close(), certificate.remove(), redis.stop()])
      await rm(state, { recursive: true, force: true })
    },
  }
}

function startStandaloneOn({ url }: RedisServer, state: string): Promise<Standalone> {
  return startStandalone({
    manifests: 'examples',
    state,
    host: '127.0.0.1',
    ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
    redisUrl: url,
    log: silentLog,
    registry: programRegistry('standalone'),
  })
}

async function applyExamples({ plane, ready }: OperatorCluster<GuardedRedis>, issuer: DemoIssuer) {
  await plane.kubectl(['create', 'namespace', 'globex'])
  const files = (await readdir('examples')).map((file) => readFile(join('examples', file), 'utf8'))
  const text = [...(await Promise.all(files)), tester].join('\n---\n')
  await plane.kubectl(['apply', '-f', '-'], text.replaceAll(issuerInExamples, issuer.issuer))
  await ready('mqttuser', 'default', 'sensor-01', 'True Synced')
  await ready('apikey', 'default', 'tester', 'True Synced')
  await ready('identityprovider', 'default', 'demo', 'True Synced')
}

interface World {
  readonly cluster: OperatorCluster<GuardedRedis>
  readonly issuer: DemoIssuer
  readonly certificate: TestCertificate
  readonly broker: Replica
  readonly httpPort: number
}

function worker({ cluster, issuer, certificate, broker, httpPort }: World): () => Promise<void> {
  let rounds = 0
  let key = ''
  const ask = (method: string, path: string, body?: object): Promise<Response> =>
    fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const exchange = async (person: string): Promise<Credential> => {
    const token = await issuer.tokenFor(person)
    return (await (await ask('POST', '/v1/token/exchange', { provider: 'demo', token })).json()) as Credential
  }
  const connect = (scheme: 'mqtts' | 'wss', who: Pick<Credential, 'username' | 'password'>) =>
    connectClient(`${scheme}://127.0.0.1:${broker[scheme]}/`, '', {
      ca: certificate.cert,
      protocolVersion: 5,
      ...who,
    })
  return async () => {
    rounds += 1
    const secret = await cluster.get<{ data: { key: string } }>('secret', 'default', 'tester-api-key')
    key = Buffer.from(secret?.data.key ?? '', 'base64').toString()
    const alice = await exchange('alice')
    const bob = await exchange('bob')
    const clients = await Promise.all([connect('mqtts', alice), connect('wss', bob)])
    await talk(clients[0], 'alice')
    await talk(clients[1], 'bob')
    await refusals(clients[0], () => connect('mqtts', { ...alice, password: 'wrong' }), ask)
    const worker = await ask('POST', '/v1/tokens', { kind: 'worker', name: 'nightly' })
    const { id } = (await worker.json()) as Credential
    await ask('POST', `/v1/tokens/${id}/refresh`, {})
    await ask('DELETE', `/v1/tokens/${id}`)
    await ask('DELETE', `/v1/tokens/${alice.id}`)
    await eventually('the revoked client is gone', () => clients[0].closed())
    await clients[1].end()
    const spec = { displayName: `Acme ${rounds}` }
    await cluster.plane.kubectl([
      'patch',
      'organization',
      'acme',
      '--type=merge',
      '-p',
      JSON.stringify({ spec }),
    ])
  }
}

async function talk({ mqtt, received }: TestClient, person: string): Promise<void> {
  const before = received.length
  await mqtt.subscribeAsync(`users/${person}/#`, { qos: 2 })
  for (const qos of [0, 1, 2] as const) await mqtt.publishAsync(`users/${person}/notes`, 'hello', { qos })
  await eventually('the messages are back', () => received.length >= before + 3)
}

async function refusals(
  { mqtt }: TestClient,
  wrongly: () => Promise<TestClient>,
  ask: (method: string, path: string, body?: object) => Promise<Response>,
): Promise<void> {
  await mqtt.publishAsync('users/bob/notes', 'not for me', { qos: 1 }).catch(() => {})
  await mqtt.subscribeAsync('#').catch(() => {})
  await wrongly().catch(() => {})
  await ask('POST', '/v1/token/exchange', { provider: 'demo', token: 'a.b.c' })
  await ask('POST', '/v1/webhooks/org_aaaaaaaaaaaa/clerk', {})
  await ask('GET', '/nowhere')
}
