import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseSealingKeys } from '#core/sealing/sealing-keys.ts'
import { findForeignKinds } from '../fixtures/foreign-kinds.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { aSealingKeyText } from '../fixtures/sealing.ts'
import { chartDirectory, podOf, programs, render, renderText } from './render.ts'
import { foreignMatrix, valueMatrix } from './value-matrix.ts'

// In a cluster that was given they are none of our business.
const foreignKinds = process.env['KUBECONFIG_TEST'] ? undefined : await findForeignKinds()

describe.skipIf(whyNoControlPlane !== undefined)('the chart on a real API server', () => {
  const namespace = `chart-${randomUUID().slice(0, 8)}`
  const teams = ['team-a', 'team-b'].map((name) => `${name}-${randomUUID().slice(0, 8)}`)
  const restricted = ['enforce', 'warn'].map((mode) => `pod-security.kubernetes.io/${mode}=restricted`)
  const account = `system:serviceaccount:${namespace}:cs-cloudsignal-operator`
  let plane: ControlPlane

  beforeAll(async () => {
    plane = await startControlPlane()
    for (const name of [namespace, ...teams]) {
      await plane.kubectl(['create', 'namespace', name])
      await plane.kubectl(['label', 'namespace', name, ...restricted])
    }
  })
  afterAll(() => plane?.stop())

  const dryRun = ['apply', '--server-side', '--dry-run=server', '-f', '-']

  const accepts = async (values: object): Promise<void> => {
    const { stdout, stderr } = await plane.kubectl(dryRun, await renderText(values, namespace))
    expect(stderr).toBe('')
    const lines = stdout.trim().split('\n')
    expect(lines).toHaveLength((await render(values, namespace)).length)
    expect(lines.filter((line) => !line.endsWith('serverside-applied (server dry run)'))).toEqual([])
  }

  test.each(valueMatrix(teams))('is accepted object for object, without a warning, %s', async (_, values) =>
    accepts(values),
  )

  describe.skipIf(foreignKinds === undefined)('with the kinds of Prometheus and cert-manager', () => {
    beforeAll(async () => {
      const files = (foreignKinds ?? []).flatMap((file) => ['-f', file])
      await plane.kubectl(['apply', '--server-side', ...files])
      await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s'])
    })

    test.each(foreignMatrix)('is accepted object for object, without a warning, %s', async (_, values) => {
      const kinds = (await render(values, namespace)).map(({ kind }) => kind)
      for (const kind of ['PodMonitor', 'ServiceMonitor', 'PrometheusRule', 'Certificate']) {
        expect(kinds).toContain(kind)
      }
      await accepts(values)
    })

    test.each([
      ['PodMonitor', { podMetricsEndpoints: [{ port: 'probes', interval: 'soon' }] }, /interval/],
      ['ServiceMonitor', { podMetricsEndpoints: [] }, /podMetricsEndpoints/],
      ['PrometheusRule', { groups: [{ name: 'none', rules: [{ alert: 'None' }] }] }, /expr/],
      ['Certificate', { usages: ['everything'] }, /usages/],
    ])('is refused when its %s is not what that kind is', async (kind, change, expected) => {
      const object = (await render(foreignMatrix[0]?.[1], namespace)).find((one) => one.kind === kind)
      const changed = { ...object, spec: { ...object?.spec, ...change } }
      await expect(plane.kubectl(dryRun, JSON.stringify(changed))).rejects.toThrow(expected)
    })
  })

  test('has pods that the restricted level of pod security lets in', async () => {
    const objects = await render({}, namespace)
    for (const program of programs) {
      const { metadata, spec } = podOf(objects, program)
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, namespace, name: program }, spec }
      const { stderr } = await plane.kubectl(dryRun, JSON.stringify(pod))
      expect(stderr).toBe('')
      const [container] = spec.containers
      const weak = { ...spec, containers: [{ ...container, securityContext: {} }] }
      await expect(plane.kubectl(dryRun, JSON.stringify({ ...pod, spec: weak }))).rejects.toThrow(
        /violates PodSecurity "restricted/,
      )
    }
  })

  describe('rendered as Argo CD does it, who tells what the cluster serves and does not look into it', () => {
    const renderedFor = async (values: object): Promise<string> => {
      const { stdout } = await plane.kubectl(['api-versions'])
      const served = stdout.trim().split('\n')
      expect(served).toContain('apiregistration.k8s.io/v1')
      const told = served.flatMap((version) => ['--api-versions', version])
      return renderText(values, namespace, told)
    }

    test('needs a Secret of sealing keys that is there, and says how to make it', async () => {
      const remedy = `kubectl -n ${namespace} create secret generic cs-cloudsignal-sealing --from-literal=keys=`
      await expect(renderedFor({})).rejects.toThrow(/sealing.secretName must name a Secret that is there/)
      await expect(renderedFor({})).rejects.toThrow(remedy)
      const given = { sealing: { secretName: 'cs-cloudsignal-sealing' } }
      expect(await renderedFor(given)).toBe(await renderedFor(given))
    })

    test('runs no Redis of its own', async () => {
      const values = { sealing: { secretName: 'keys' }, redis: { mode: 'development' } }
      await expect(renderedFor(values)).rejects.toThrow(/redis.mode must not be development/)
    })
  })

  describe('installed', () => {
    let notes: string
    let keysBefore: string
    let readKeys: () => Promise<string>

    beforeAll(async () => {
      notes = (await plane.helm(['install', 'cs', chartDirectory, '--namespace', namespace])).stdout
      await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s'])
    })

    test('serves the five kinds under their short names', async () => {
      for (const name of ['morg', 'mqu', 'mal', 'midp', 'mak', 'mqtt']) {
        const { stderr } = await plane.kubectl(['get', name, '--namespace', namespace])
        expect(stderr).toContain('No resources found')
      }
    })

    test('tells a first user what to apply, and the API server accepts it', async () => {
      const example = /<<'END'\n([\s\S]*?)\n {2}END\n/.exec(notes)?.[1] ?? ''
      const { stdout, stderr } = await plane.kubectl(
        [...dryRun, '--namespace', namespace],
        example.replace(/^ {2}/gm, ''),
      )
      expect(stderr).toBe('')
      expect(stdout.trim().split('\n')).toHaveLength(2)
    })

    test('lets the operator do its work and no more', async () => {
      const kubeconfig = await plane.kubeconfigFor(account, ['system:serviceaccounts'])
      const can = async (verb: string, what: string, where: string): Promise<boolean> => {
        const [resource = '', subresource = ''] = what.split(':')
        const asked = ['auth', 'can-i', verb, resource, '--subresource', subresource]
        return plane.kubectl([...asked, '--namespace', where, '--kubeconfig', kubeconfig]).then(
          () => true,
          () => false,
        )
      }
      const allowed: readonly (readonly [string, string, string])[] = [
        ['watch', 'mqttusers.cloudsignal.app', 'default'],
        ['patch', 'organizations.cloudsignal.app:status', 'default'],
        ['patch', 'accesslists.cloudsignal.app:status', 'default'],
        ['patch', 'identityproviders.cloudsignal.app:status', 'default'],
        ['patch', 'apikeys.cloudsignal.app:status', 'default'],
        ['patch', 'mqttusers.cloudsignal.app:status', 'default'],
        ['patch', 'organizations.cloudsignal.app', 'default'],
        ['patch', 'identityproviders.cloudsignal.app', 'default'],
        ['create', 'secrets', 'default'],
        ['patch', 'secrets', 'default'],
        ['create', 'events.events.k8s.io', 'default'],
        ['get', 'crd/mqttusers.cloudsignal.app', 'default'],
        ['create', 'leases.coordination.k8s.io', namespace],
        ['update', 'leases.coordination.k8s.io/cs-cloudsignal-operator', namespace],
      ]
      const denied: readonly (readonly [string, string, string])[] = [
        ['delete', 'mqttusers.cloudsignal.app', 'default'],
        ['create', 'mqttusers.cloudsignal.app', 'default'],
        ['patch', 'accesslists.cloudsignal.app', 'default'],
        ['update', 'secrets', 'default'],
        ['delete', 'secrets', 'default'],
        ['get', 'pods', 'default'],
        ['get', 'crd/others.example.com', 'default'],
        ['patch', 'crd/mqttusers.cloudsignal.app', 'default'],
        ['create', 'leases.coordination.k8s.io', 'default'],
        ['update', 'leases.coordination.k8s.io/another', namespace],
      ]
      for (const question of allowed)
        expect([...question, await can(...question)]).toEqual([...question, true])
      for (const question of denied)
        expect([...question, await can(...question)]).toEqual([...question, false])
    })

    test('keeps its sealing keys over an upgrade, with those that were added, and when it is uninstalled', async () => {
      const ours = ['secret', 'cs-cloudsignal-sealing', '--namespace', namespace]
      const keys = async (): Promise<string> => {
        const { stdout } = await plane.kubectl(['get', ...ours, '-o', 'jsonpath={.data.keys}'])
        return Buffer.from(stdout, 'base64').toString()
      }
      const made = await keys()
      expect(parseSealingKeys(made)).toBeDefined()
      const upgrade = ['upgrade', 'cs', chartDirectory, '--namespace', namespace]
      await plane.helm(upgrade)
      expect(await keys()).toBe(made)
      const more = `${aSealingKeyText()}\n${made}`
      await plane.kubectl(['patch', ...ours, '-p', JSON.stringify({ stringData: { keys: more } })])
      await plane.helm(upgrade)
      expect(await keys()).toBe(more)
      keysBefore = more
      readKeys = keys
    })

    test('is upgraded in place, and leaves the five kinds when it is uninstalled', async () => {
      const upgrade = [
        'upgrade',
        'cs',
        chartDirectory,
        '--namespace',
        namespace,
        '--set',
        'broker.replicas=5',
      ]
      await plane.helm(upgrade)
      const path = ['-o', 'jsonpath={.spec.replicas}', '--namespace', namespace]
      const { stdout } = await plane.kubectl(['get', 'deployment', 'cs-cloudsignal-broker', ...path])
      expect(stdout).toBe('5')
      await plane.helm(['uninstall', 'cs', '--namespace', namespace])
      expect(await readKeys()).toBe(keysBefore)
      const kinds = await plane.kubectl(['get', 'crd', '-o', 'name'])
      expect(kinds.stdout.match(/\.cloudsignal\.app$/gm)).toHaveLength(5)
    })
  })
})
