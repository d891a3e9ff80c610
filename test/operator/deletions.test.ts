import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ClusterCache } from '../../operator/kubernetes/cluster-cache.ts'
import { Deletions } from '../../operator/kubernetes/deletions.ts'
import type { KubernetesApi } from '../../operator/runtime/kubernetes-api.ts'
import { systemTime } from '../../operator/runtime/time.ts'
import { FakeApiServer } from './runtime/fake-api-server.ts'
import { apiOf } from './runtime/fixtures.ts'
import { recordingLog } from '../fixtures/recording-log.ts'
import { eventually } from './runtime/manual-time.ts'

const users = '/apis/cloudsignal.app/v1alpha1/namespaces/a/mqttusers'
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const crd = 'mqttusers.cloudsignal.app'

describe('whether somebody deleted an object', () => {
  let server: FakeApiServer
  let api: KubernetesApi
  let cache: ClusterCache
  let deletions: Deletions
  let stop: AbortController

  beforeEach(async () => {
    server = await FakeApiServer.start()
    for (const name of ['ada', 'bob']) server.put(users, { metadata: { name } })
    server.put(crds, { metadata: { name: crd } })
    api = apiOf(server)
    stop = new AbortController()
    const metrics = { changed() {}, restarted() {} }
    cache = new ClusterCache({ api, time: systemTime, random: Math.random, log: recordingLog(), metrics })
    deletions = new Deletions(api, cache)
    void cache.run(stop.signal)
    await cache.waitForSync(AbortSignal.timeout(5_000))
    await eventually('it watches', () => server.openWatches === 6)
  })
  afterEach(async () => {
    stop.abort()
    api.close()
    await server.stop()
  })

  const isShown = (name: string): boolean => cache.of('MqttUser').store.get(`a/${name}`) !== undefined
  const fateOf = (name: string) => deletions.fateOf('MqttUser', `a/${name}`)

  test('is known of one whose deletion was watched, until there is another of its name', async () => {
    server.remove(`${users}/ada`)
    await eventually('ada is gone', () => !isShown('ada'))
    expect(await fateOf('ada')).toBe('deleted')
    expect(await fateOf('bob')).toBe('missing')
    server.put(users, { metadata: { name: 'ada' } })
    await eventually('ada is back', () => isShown('ada'))
    expect(await fateOf('ada')).toBe('missing')
  })

  test('is known of one that is held by a finalizer', async () => {
    server.put(users, { metadata: { name: 'ada', deletionTimestamp: '2026-11-24T10:00:00Z' } })
    await eventually('it is marked', () => {
      return cache.of('MqttUser').store.get('a/ada')?.metadata.deletionTimestamp !== undefined
    })
    expect(await fateOf('ada')).toBe('deleted')
  })

  test('is not known of one that a list merely lacks', async () => {
    server.freeze(true)
    server.remove(`${users}/ada`)
    server.freeze(false)
    server.compact()
    server.bookmark()
    server.remove(`${users}/none`)
    server.sendError(410, 'Expired')
    await eventually('ada is gone', () => !isShown('ada'))
    expect(await fateOf('ada')).toBe('missing')
  })

  test('is not believed while the kind itself is being removed, or is gone', async () => {
    server.remove(`${users}/ada`)
    await eventually('ada is gone', () => !isShown('ada'))
    server.put(crds, { metadata: { name: crd, deletionTimestamp: '2026-11-24T10:00:00Z' } })
    expect(await fateOf('ada')).toBe('kind-removed')
    server.remove(`${crds}/${crd}`)
    expect(await fateOf('ada')).toBe('kind-removed')
  })

  test('is believed where the operator may not look at kinds, and asked again when the server fails', async () => {
    server.remove(`${users}/ada`)
    await eventually('ada is gone', () => !isShown('ada'))
    server.answerNext({ method: 'GET', isWatch: false, status: 403, reason: 'Forbidden' })
    expect(await fateOf('ada')).toBe('deleted')
    server.answerNext({ method: 'GET', isWatch: false, status: 500 })
    await expect(fateOf('ada')).rejects.toMatchObject({ code: 'server-error' })
  })

  test('is asked once for many that go at the same time', async () => {
    for (const name of ['ada', 'bob']) server.remove(`${users}/${name}`)
    await eventually('both are gone', () => !isShown('ada') && !isShown('bob'))
    const before = server.asked('GET').length
    await Promise.all([fateOf('ada'), fateOf('bob')])
    expect(server.asked('GET').length - before).toBe(1)
  })
})
