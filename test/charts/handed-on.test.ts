/** Values that the chart hands on to Kubernetes as they are: each has to arrive where it belongs, and nowhere by itself. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import {
  chartDirectory,
  ofKind,
  podOf,
  type ProgramName,
  programs,
  render,
  type RenderedObject,
} from './render.ts'

const mount = { name: 'more', mountPath: '/more', readOnly: true }
const volume = { name: 'more', emptyDir: {} }
const ofPods = {
  nodeSelector: { disk: 'ssd' },
  tolerations: [{ key: 'edge', operator: 'Exists' }],
  affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  topologySpreadConstraints: [{ topologyKey: 'rack', maxSkew: 2, whenUnsatisfiable: 'DoNotSchedule' }],
  priorityClassName: 'important',
}
const resources = { requests: { cpu: '123m', memory: '321Mi' }, limits: { memory: '400Mi' } }
const given = {
  ...ofPods,
  resources,
  podAnnotations: { note: 'pod' },
  podLabels: { tier: 'edge' },
  extraEnv: [{ name: 'TZ', value: 'UTC' }],
  extraVolumes: [volume],
  extraVolumeMounts: [mount],
  serviceAccount: { annotations: { note: 'account' } },
}
const service = {
  type: 'LoadBalancer',
  annotations: { note: 'service' },
  loadBalancerClass: 'example.com/lb',
  loadBalancerSourceRanges: ['192.0.2.0/24'],
  externalTrafficPolicy: 'Local',
}

const byDefault = await render()
const handedOn = await render({
  commonLabels: { team: 'iot', 'app.kubernetes.io/owner': 'us' },
  imagePullSecrets: [{ name: 'ours' }],
  global: { imagePullSecrets: [{ name: 'of-the-parent' }] },
  operator: given,
  broker: { ...given, service },
  tokenService: given,
  extraObjects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-more' } }],
})

const named = (objects: readonly RenderedObject[], kind: string, program: ProgramName): RenderedObject =>
  ofKind(objects, kind).find(({ metadata }) => metadata.name.endsWith(program)) as RenderedObject

describe.each(programs)('what is said of the pods of the %s', (program) => {
  const pod = podOf(handedOn, program)
  const plain = podOf(byDefault, program)
  const [container] = pod.spec.containers

  test('arrives at them', () => {
    expect(pod.spec).toMatchObject({
      ...ofPods,
      imagePullSecrets: [{ name: 'ours' }, { name: 'of-the-parent' }],
    })
    expect(pod.metadata).toMatchObject({
      annotations: { note: 'pod' },
      labels: { tier: 'edge', team: 'iot' },
    })
    expect(pod.spec.volumes).toContainEqual(volume)
    expect(container.volumeMounts).toContainEqual(mount)
    expect(container.env).toContainEqual({ name: 'TZ', value: 'UTC' })
    expect(container).toMatchObject({ resources })
  })

  test('is not there by itself, but for what spreads them', () => {
    for (const name of ['nodeSelector', 'tolerations', 'affinity', 'priorityClassName', 'imagePullSecrets']) {
      expect(plain.spec).not.toHaveProperty(name)
    }
    expect(plain.metadata).not.toHaveProperty('annotations')
    expect(plain.spec).toMatchObject({
      topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map(
        (topologyKey) => ({ topologyKey, maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }),
      ),
    })
  })

  test('changes nothing that can not be changed: which pods belong to what', () => {
    const selectors = (objects: readonly RenderedObject[]): readonly unknown[] =>
      ['Deployment', 'Service', 'PodDisruptionBudget']
        .flatMap((kind) => ofKind(objects, kind))
        .map(({ kind, metadata, spec }) => [kind, metadata.name, spec?.['selector']])
    expect(selectors(handedOn)).toEqual(selectors(byDefault))
    expect(JSON.stringify(selectors(handedOn))).not.toContain('iot')
  })

  test('is asked for its health by the port that it has for that', () => {
    const asked = (path: string): object => ({ httpGet: { path, port: 'probes' } })
    expect(container).toMatchObject({
      livenessProbe: asked('/healthz'),
      readinessProbe: asked('/readyz'),
      startupProbe: asked('/healthz'),
    })
    expect(container.ports.map(({ name }) => name)).toContain('probes')
  })

  test('annotates their account, or leaves it to somebody else', async () => {
    expect(named(handedOn, 'ServiceAccount', program).metadata.annotations).toEqual({ note: 'account' })
    expect(named(byDefault, 'ServiceAccount', program).metadata.annotations).toBeUndefined()
    const key = program === 'token-service' ? 'tokenService' : program
    const elsewhere = await render({ [key]: { serviceAccount: { create: false, name: 'theirs' } } })
    expect(podOf(elsewhere, program).spec.serviceAccountName).toBe('theirs')
    expect(named(elsewhere, 'ServiceAccount', program)).toBeUndefined()
  })
})

test('the Service of the broker is what a load balancer was told', () => {
  const { annotations, ...spec } = service
  const told = named(handedOn, 'Service', 'broker')
  expect(told.spec).toMatchObject(spec)
  expect(told.metadata.annotations).toEqual(annotations)
  const plain = named(byDefault, 'Service', 'broker')
  expect(Object.keys(plain.spec ?? {}).toSorted()).toEqual(['ports', 'selector', 'type'])
  expect(plain.metadata.annotations).toBeUndefined()
})

test('every object of the chart has the labels of all', () => {
  const without = handedOn.filter(({ metadata }) => metadata.labels?.['team'] !== 'iot')
  expect(without.map(({ kind, metadata }) => [kind, metadata.name])).toEqual([['ConfigMap', 'cs-more']])
})

test('an object of somebody else is filled in and made as it is', () => {
  expect(ofKind(handedOn, 'ConfigMap').map(({ metadata }) => metadata)).toEqual([{ name: 'cs-more' }])
})

describe('a value of the chart', () => {
  const directory = join(chartDirectory, 'templates')
  const templates = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'))
    .join('\n')
  const asAWhole = ['podSecurityContext', 'resources', 'labels']
  const namesIn = (values: unknown): readonly string[] =>
    typeof values !== 'object' || values === null || Array.isArray(values)
      ? []
      : Object.entries(values).flatMap(([name, inner]) => [
          name,
          ...(asAWhole.includes(name) ? [] : namesIn(inner)),
        ])
  const isRead = (name: string): boolean => new RegExp(`\\.${name}\\b`).test(templates)

  test('is read by a template', () => {
    const values = parse(readFileSync(join(chartDirectory, 'values.yaml'), 'utf8')) as object
    const names = namesIn(values)
    expect(names.length).toBeGreaterThan(150)
    expect(names.filter((name) => !isRead(name))).toEqual([])
  })

  test('that no template reads is found', () => {
    expect(namesIn({ broker: { replicas: 2, copies: 3 } }).filter((name) => !isRead(name))).toEqual([
      'copies',
    ])
  })
})
