/** The operator on kinds that are older or newer than it, on a real API server under the chart's own rights. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ofKind, render } from '../charts/render.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const users = 'mqttusers.cloudsignal.app'
const annotation = 'cloudsignal.app/schema-version'

describe.skipIf(whyNoControlPlane !== undefined)('the operator on a real API server', () => {
  let cluster: OperatorCluster
  beforeAll(async () => {
    cluster = await startOperatorCluster()
  })
  afterAll(() => cluster?.stop())

  const annotate = (version: string) =>
    cluster.plane.kubectl(['annotate', 'crd', users, '--overwrite', `${annotation}${version}`])

  /** What it says before it ends. */
  async function refusal(): Promise<string> {
    const operator = cluster.startOperator()
    expect(await operator.exited).toBe(1)
    const line = await operator.logged('could not start')
    expect(line['code']).toBe('crds-outdated')
    expect(operator.output()).not.toContain('the operator runs')
    return String(line['error'])
  }

  test('does not start on older kinds, and names the command that mends it', async () => {
    await annotate('=0')
    expect(await refusal()).toContain(`${annotation}: ${users} has 0, `)
    // As before there was a version.
    await annotate('-')
    const message = await refusal()
    expect(message).toContain(`${users} has 0, `)
    expect(message).not.toContain('organizations')

    const command = /run kubectl (.+?) with/.exec(message)?.[1]?.split(' ') ?? []
    await cluster.plane.kubectl(command.map((word) => (word === 'crds/' ? `${root}crds/` : word)))
    const operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    await operator.kill()
  })

  test('starts on newer ones', async () => {
    await annotate('=999')
    const operator = cluster.startOperator()
    await operator.logged('everything is in the store')
    await operator.kill()
  })

  test('warns and starts where it has no right to look, as with a list of namespaces', async () => {
    const objects = await render({ operator: { namespaces: ['default'] } }, 'elsewhere')
    const roles = ['Role', 'RoleBinding'].flatMap((kind) => ofKind(objects, kind))
    await cluster.plane.kubectl(['create', 'namespace', 'elsewhere'])
    await cluster.apply(...roles)
    const kubeconfig = await cluster.plane.kubeconfigFor(
      'system:serviceaccount:elsewhere:cs-cloudsignal-operator',
    )
    const operator = cluster.startOperator({
      CLOUDSIGNAL_OPERATOR_KUBECONFIG: kubeconfig,
      CLOUDSIGNAL_OPERATOR_NAMESPACES: 'default',
      CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE: 'elsewhere',
    })
    await operator.logged('everything is in the store')
    expect(operator.output()).toContain('no right to get customresourcedefinitions')
    await operator.kill()
  })

  test('does not start where one is missing', async () => {
    await cluster.plane.kubectl(['delete', 'crd', 'accesslists.cloudsignal.app'])
    expect(await refusal()).toContain('accesslists.cloudsignal.app is not installed')
  })
})
