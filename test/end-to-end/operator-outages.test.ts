/** The operator while something it needs is not there: it waits, says so, and no error ends it. */
import { writeFile } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'

const org = 'org_k7xm4pqr2n5t'
const namespace = 'default'

function manifest(kind: string, name: string, spec: object): object {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}
const access = [{ effect: 'allow', actions: ['publish'], topics: ['a'] }]
const aUser = (name: string) => manifest('MqttUser', name, { organizationRef: { name: 'acme' }, access })

async function probe(operator: RunningProgram): Promise<{ status: number; body: string }> {
  const { port } = await operator.logged('probes are served')
  const response = await fetch(`http://127.0.0.1:${String(port)}/readyz`)
  return { status: response.status, body: await response.text() }
}

describe.skipIf(whyNoControlPlane !== undefined)('the operator', () => {
  let cluster: OperatorCluster

  beforeAll(async () => {
    cluster = await startOperatorCluster()
    await cluster.apply(manifest('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' }), aUser('ada'))
  })
  afterEach(() => cluster?.killOperators())
  afterAll(() => cluster?.stop())

  test('without Redis at its start waits, is not ready and says so; with Redis it catches up', async () => {
    await cluster.redisServer.kill()
    const operator = cluster.startOperator()
    await cluster.ready('mqttuser', namespace, 'ada', 'False StoreUnavailable')
    expect(await probe(operator)).toEqual({ status: 503, body: 'redis: does not answer\n' })
    await operator.logged('Redis can not be reached; trying again until it can')
    await cluster.redisServer.start()
    await cluster.ready('mqttuser', namespace, 'ada', 'True Synced')
    await operator.logged('everything is in the store')
    await eventually('the record is there', () => cluster.store.get('user', org, 'ada').catch(() => false))
    expect((await probe(operator)).status).toBe(200)
    expect(await operator.terminate()).toBe(0)
  })

  test('outlives a Redis that dies, and writes what it missed into the empty one that comes back', async () => {
    const operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    await cluster.redisServer.kill()
    await cluster.apply(aUser('bob'))
    await cluster.ready('mqttuser', namespace, 'bob', 'False StoreUnavailable')
    await cluster.ready('mqttuser', namespace, 'ada', 'True Synced')
    await cluster.redisServer.start()
    await cluster.ready('mqttuser', namespace, 'bob', 'True Synced')
    await eventually('the store is ready', () => cluster.store.isReady().catch(() => false))
    expect([...(await cluster.store.names('user', org))].toSorted()).toEqual(['ada', 'bob'])
    expect(await operator.terminate()).toBe(0)
  })

  test('stands by while another leads, and takes over when that one is killed', async () => {
    const first = cluster.startOperator()
    await first.logged('everything is in the store')
    const second = cluster.startOperator()
    await eventually('the standby is ready as well', async () => (await probe(second)).status === 200)
    expect(second.output()).not.toContain('started leading')
    await first.kill()
    await cluster.apply(aUser('eve'))
    await cluster.ready('mqttuser', namespace, 'eve', 'True Synced')
    expect(second.output()).toContain('started leading')
    expect(await second.terminate()).toBe(0)
  })

  test('without the API server waits and is not ready', async () => {
    const nowhere = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'a', user: { token: 'x' } }],
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      'current-context': 'a',
    })
    const path = `${cluster.plane.kubeconfigPath}-nowhere`
    await writeFile(path, nowhere)
    const operator = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_KUBECONFIG: path })
    await operator.logged('the API server does not say which kinds are installed; asking again')
    const { status, body } = await probe(operator)
    expect(status).toBe(503)
    expect(body).toMatch(/API server: has not shown organizations, .*secrets yet/)
    expect(await operator.terminate()).toBe(0)
  })
})

test('settings that can not be used end it with all problems at once', async () => {
  const operator = startProgram('operator', {
    CLOUDSIGNAL_OPERATOR_LEASE_SECONDS: '1',
    CLOUDSIGNAL_OPERATOR_LEASE_NAM: 'x',
    CLOUDSIGNAL_OPERATOR_INSTALLATION: 'Not A Name',
  })
  expect(await operator.exited).toBe(2)
  for (const problem of [
    'CLOUDSIGNAL_REDIS_URL: must be set',
    'CLOUDSIGNAL_OPERATOR_LEASE_SECONDS="1": give a whole number from 3 to 300',
    'CLOUDSIGNAL_OPERATOR_LEASE_NAM: is no setting; did you mean CLOUDSIGNAL_OPERATOR_LEASE_NAME?',
    'CLOUDSIGNAL_OPERATOR_INSTALLATION="Not A Name"',
  ]) {
    expect(operator.output()).toContain(problem)
  }
})
