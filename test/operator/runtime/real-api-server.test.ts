/** The runtime against a real kube-apiserver: what the fake one only claims. */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EventRecorder } from '../../../operator/runtime/events.ts'
import { addFinalizer, removeFinalizer } from '../../../operator/runtime/finalizers.ts'
import type { KubernetesApi } from '../../../operator/runtime/kubernetes-api.ts'
import { LeaderElector, type ElectionEnd } from '../../../operator/runtime/leader-election.ts'
import type { KubernetesObject, ResourceType } from '../../../operator/runtime/objects.ts'
import { Reflector, type ReflectorOptions } from '../../../operator/runtime/reflector.ts'
import { systemTime } from '../../../operator/runtime/time.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../../fixtures/kubernetes.ts'
import { connectToApi } from '../../fixtures/kubernetes-api.ts'
import { secretType, widgetType, type Widget } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { eventually } from './manual-time.ts'

const namespaceType: ResourceType = { group: '', version: 'v1', plural: 'namespaces', namespaced: false }
const crdType: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  namespaced: false,
}
const fieldManager = 'runtime-tests'
const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const crd: KubernetesObject & Record<string, unknown> = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.test' },
  spec: {
    group: 'example.test',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything } } },
      },
    ],
  },
}

describe.skipIf(whyNoControlPlane !== undefined)('with a real API server', () => {
  const namespace = `runtime-${randomUUID().slice(0, 8)}`
  const log = recordingLog()
  const stop = new AbortController()
  let plane: ControlPlane
  let api: KubernetesApi

  const widget = (name: string, size = 1): Widget => ({
    apiVersion: 'example.test/v1',
    kind: 'Widget',
    metadata: { name, namespace },
    spec: { size },
  })

  beforeAll(async () => {
    plane = await startControlPlane()
    api = await connectToApi(plane.kubeconfigPath)
    await api.create(namespaceType, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
    await api.apply(crdType, crd, { fieldManager })
    await untilServed()
  })

  afterAll(async () => {
    stop.abort()
    await api?.delete(namespaceType, { name: namespace })
    api?.close()
    await plane?.stop()
  })

  async function untilServed(): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const isServed = await api.list(widgetType, { namespace }).then(
        () => true,
        () => false,
      )
      if (isServed) return
      await pause(100)
    }
    throw new Error('the kind of the tests is not served')
  }

  async function follow<T extends KubernetesObject>(
    type: ResourceType,
    options: Partial<ReflectorOptions<T>> = {},
  ): Promise<Reflector<T>> {
    const reflector = new Reflector<T>({
      api,
      type,
      namespaces: [namespace],
      time: systemTime,
      random: Math.random,
      log,
      ...options,
    })
    void reflector.run(stop.signal)
    await reflector.waitForSync(stop.signal)
    return reflector
  }

  test('lists in pages, and follows creations, changes and deletions', async () => {
    for (let index = 0; index < 7; index += 1) await api.create(widgetType, widget(`page-${index}`))
    const reflector = await follow<Widget>(widgetType, { lists: 'newest', pageSize: 3 })
    expect(reflector.store.size).toBe(7)
    await api.create(widgetType, widget('followed'))
    await api.mergePatch(widgetType, { namespace, name: 'followed' }, { spec: { size: 2 } })
    const key = `${namespace}/followed`
    await eventually('the change is seen', () => reflector.store.get(key)?.spec?.size === 2)
    expect(reflector.store.get(key)?.metadata.managedFields).toBeUndefined()
    await api.delete(widgetType, { namespace, name: 'followed' })
    await eventually('the deletion is seen', () => reflector.store.get(key) === undefined)
  })

  test('applies a status without touching the spec, and an equal one changes nothing', async () => {
    await api.create(widgetType, widget('status', 5))
    const { apiVersion = '', kind = '', metadata } = widget('status')
    const status = { apiVersion, kind, metadata, status: { ready: true } }
    const first = await api.applyStatus<Widget>(widgetType, status, { fieldManager })
    const second = await api.applyStatus<Widget>(widgetType, status, { fieldManager })
    expect(first).toMatchObject({ spec: { size: 5 }, status: { ready: true } })
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
  })

  test('lists and watches Secrets by metadata only', async () => {
    const secret = (name: string): KubernetesObject & { stringData: object } => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
      stringData: { password: 'hunter2' },
    })
    await api.create(secretType, secret('before'))
    const reflector = await follow(secretType, { metadataOnly: true })
    await api.create(secretType, secret('after'))
    await eventually('the new one is seen', () => reflector.store.get(`${namespace}/after`) !== undefined)
    expect(reflector.store.size).toBe(2)
    expect(JSON.stringify(reflector.store.list())).not.toContain('"data"')
  })

  test('says what is wrong by code', async () => {
    const stale = await api.create<Widget>(widgetType, widget('codes'))
    await api.mergePatch(widgetType, stale.metadata as { name: string }, { spec: { size: 2 } })
    const bad = { ...widget('other'), spec: 'text' } as unknown as Widget
    await expect(api.create(widgetType, widget('codes'))).rejects.toMatchObject({ code: 'already-exists' })
    await expect(api.replace(widgetType, stale)).rejects.toMatchObject({ code: 'conflict' })
    await expect(api.get(widgetType, { namespace, name: 'none' })).rejects.toMatchObject({
      code: 'not-found',
    })
    await expect(api.create(widgetType, bad)).rejects.toMatchObject({ code: 'invalid' })
    const tooNew = api.list(widgetType, { namespace, resourceVersion: '99999999', limit: 5 })
    await expect(tooNew).rejects.toMatchObject({ code: 'timeout', status: 504 })
  })

  test('adds and removes finalizers, and deletes only the object of a uid', async () => {
    const created = await api.create<Widget>(widgetType, widget('finalized'))
    const kept = await addFinalizer(api, widgetType, created, 'example.test/cleanup')
    const { name, uid = '' } = kept.metadata
    const another = api.delete(widgetType, { namespace, name }, { preconditions: { uid: 'another' } })
    await expect(another).rejects.toMatchObject({ code: 'conflict' })
    await api.delete(widgetType, { namespace, name }, { preconditions: { uid } })
    const marked = await api.get<Widget>(widgetType, { namespace, name })
    expect(marked.metadata.deletionTimestamp).toBeDefined()
    await removeFinalizer(api, widgetType, marked, 'example.test/cleanup')
    await expect(api.get(widgetType, { namespace, name })).rejects.toMatchObject({ code: 'not-found' })
  })

  test('writes an event that the server accepts', async () => {
    const recorder = new EventRecorder({
      api,
      reportingController: 'example.test/operator',
      reportingInstance: 'pod-1',
      time: systemTime,
      log,
    })
    const regarding = await api.create<Widget>(widgetType, widget('regarded'))
    recorder.record(regarding, {
      type: 'Warning',
      reason: 'SecretNotFound',
      action: 'Reconcile',
      note: 'none',
    })
    await recorder.flush()
    const events = { group: 'events.k8s.io', version: 'v1', plural: 'events', namespaced: true }
    const { items } = await api.list<KubernetesObject & { reason?: string }>(events, { namespace })
    expect(items.map(({ reason }) => reason)).toEqual(['SecretNotFound'])
  })

  test('lets exactly one of two electors lead, and the other take over when it stops', async () => {
    const stops = [new AbortController(), new AbortController()]
    const terms: number[] = []
    const ends: Promise<ElectionEnd>[] = []
    const electors = stops.map(
      (_, index) =>
        new LeaderElector({
          api,
          namespace,
          name: 'operator',
          identity: `elector-${index}`,
          time: systemTime,
          random: Math.random,
          log,
          leaseDurationMs: 3000,
          renewDeadlineMs: 2000,
          retryPeriodMs: 200,
          onStartedLeading: ({ term }) => void terms.push(term),
          onStoppedLeading() {},
        }),
    )
    for (const [index, elector] of electors.entries())
      ends.push(elector.run(stops[index]?.signal ?? stop.signal))
    await eventually('one leads', () => terms.length === 1)
    await pause(1000)
    expect(electors.filter((elector) => elector.isLeader())).toHaveLength(1)
    const first = electors.findIndex((elector) => elector.isLeader())
    stops[first]?.abort()
    expect(await ends[first]).toBe('released')
    await eventually('the other leads', () => electors[1 - first]?.isLeader() === true)
    expect(terms).toHaveLength(2)
    expect(terms[1]).toBeGreaterThan(terms[0] ?? 0)
    stops[1 - first]?.abort()
    await Promise.all(ends)
  })
})
