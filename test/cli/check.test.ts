/** The command as a process, on an installation of real programs and a real API server. */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const stepNames = [
  'nothing is left of an earlier check',
  'the operator makes an organization, an access list, a user, a provider and an API key',
  'the user signs in over TLS, by the password of its Secret, and hears what it publishes',
  'the same over secure WebSocket',
  'a wrong password is refused, and so is the topic of another device',
  'an identity token is exchanged for a credential, and a forged one is refused',
  'the credential signs in as the person it is, and as nobody else',
  'once it is revoked its connection ends, and it signs in no more',
  'all of it is removed again',
]

/** What each line says, without how long it took. */
const linesOf = (stdout: string): readonly string[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ \(\d+\.\d s\)$/, ''))

describe.skipIf(whyNoControlPlane !== undefined)('cloudsignal check', () => {
  const namespace = 'checked'
  let cluster: OperatorCluster
  let certificate: TestCertificate
  let broker: Replica
  let tokenService: RunningProgram
  let given: Readonly<Record<string, string>>

  beforeAll(async () => {
    ;[cluster, certificate] = await Promise.all([startOperatorCluster(), makeCertificate()])
    await cluster.plane.kubectl(['create', 'namespace', namespace])
    const operator = cluster.startOperator()
    tokenService = startProgram('token-service', {
      CLOUDSIGNAL_REDIS_URL: cluster.redisServer.url,
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    })
    broker = await startReplica(cluster.redisServer.url, certificate)
    await operator.logged('everything is in the store')
    const { port } = await tokenService.logged('the token service is listening')
    given = {
      namespace,
      mqtts: `127.0.0.1:${broker.mqtts}`,
      wss: `127.0.0.1:${broker.wss}`,
      'server-name': 'localhost',
      ca: certificate.certFile,
      tokens: `http://127.0.0.1:${String(port)}`,
    }
  })
  afterAll(async () => {
    await Promise.all([broker?.program.kill(), tokenService?.kill()])
    await certificate?.remove()
    await cluster?.stop()
  })

  const check = (over: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    new Promise((resolve) => {
      const options = Object.entries({ ...given, ...over }).flatMap(([name, value]) => [`--${name}`, value])
      const child = spawn(process.execPath, ['cli/main.ts', 'check', ...options], {
        env: { PATH: process.env['PATH'], KUBECONFIG: cluster.plane.kubeconfigPath },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  const left = async (): Promise<string> => {
    const kinds = 'organizations,accesslists,mqttusers,identityproviders,apikeys,secrets'
    const { stdout } = await cluster.plane.kubectl(['get', kinds, '-n', namespace, '-o', 'name'])
    return stdout
  }

  test('uses everything once, says so, and leaves nothing', async () => {
    const { code, stdout, stderr } = await check()
    expect(linesOf(stdout)).toEqual([...stepNames.map((name) => `ok      ${name}`), 'It works.'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await left()).toBe('')
  })

  test.each([
    [
      'nobody is where the broker should be',
      { mqtts: '127.0.0.1:1' },
      2,
      'mqtts://127.0.0.1:1: connect ECONNREFUSED',
    ],
    ['the certificate is not to be trusted', { ca: '/none' }, 2, 'certificate'],
    ['the certificate has another name', { 'server-name': 'mqtt.example.com' }, 2, 'altnames'],
    [
      'nobody is at the port of WebSocket',
      { wss: '127.0.0.1:1' },
      3,
      'wss://127.0.0.1:1: connect ECONNREFUSED',
    ],
    [
      'nobody is where the token service should be',
      { tokens: 'http://127.0.0.1:9' },
      5,
      '127.0.0.1:9 does not answer',
    ],
  ])('says what does not work when %s, and leaves nothing', async (_, over, step, reason) => {
    const { code, stdout } = await check(over)
    const lines = linesOf(stdout)
    expect(lines.slice(0, step + 1)).toEqual([
      ...stepNames.slice(0, step).map((name) => `ok      ${name}`),
      `FAILED  ${stepNames[step]}`,
    ])
    expect(lines[step + 1]).toContain(reason)
    expect(lines.at(-1)).toBe('It does NOT work: see what FAILED above.')
    expect(code).toBe(1)
    expect(await left()).toBe('')
  })

  test('deletes nothing that no check has made', async () => {
    const metadata = { name: 'of-others', namespace }
    await cluster.apply({ apiVersion: 'cloudsignal.app/v1alpha1', kind: 'Organization', metadata, spec: {} })
    const { code, stdout } = await check({ name: 'of-others' })
    expect(code).toBe(1)
    expect(stdout).toContain('Organization of-others is there, and no check has made it: give another --name')
    expect(await left()).toBe('organization.cloudsignal.app/of-others\n')
  })

  test('says what the operator does not do', async () => {
    await cluster.killOperators()
    const { code, stdout } = await check({ timeout: '1' })
    expect(code).toBe(1)
    expect(stdout).toContain('does not become Ready: the operator has said nothing of it')
  })

  test('says all that is wrong with its command line', async () => {
    const { code, stderr } = await check({
      namespace: '',
      mqtts: 'mqtt',
      wss: '',
      tokens: 'x',
      timeout: '-1',
    })
    expect(code).toBe(2)
    for (const name of ['mqtts', 'tokens', 'timeout']) expect(stderr).toContain(`--${name}: give`)
  })
})
