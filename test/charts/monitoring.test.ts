import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { chartDirectory, ofKind, podOf, programs, render, type RenderedObject } from './render.ts'

interface Endpoint {
  readonly port: string
  readonly path: string
  readonly interval?: string
  readonly scrapeTimeout?: string
}
interface MonitorSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> }
  readonly endpoints?: readonly Endpoint[]
  readonly podMetricsEndpoints?: readonly Endpoint[]
}
interface ServiceSpec {
  readonly clusterIP?: string
  readonly selector: Readonly<Record<string, string>>
  readonly ports: readonly { readonly name: string; readonly targetPort: string }[]
}

const monitored = await render({
  monitoring: { monitors: { enabled: true, labels: { release: 'prometheus' }, interval: '15s' } },
})

const dashboards = `${chartDirectory}/files/dashboards`
const monitorKinds = ['PodMonitor', 'ServiceMonitor', 'PrometheusRule']
const specOf = <T>({ spec }: RenderedObject): T => spec as unknown as T

const covers = (
  labels: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): boolean => Object.entries(wanted).every(([name, value]) => labels[name] === value)

/** Programs whose pods have all of these labels. */
const podsWith = (wanted: Readonly<Record<string, string>>): readonly string[] =>
  programs.filter((program) => covers(podOf(monitored, program).metadata.labels, wanted))

const hasPort = (program: (typeof programs)[number], port: string): boolean =>
  podOf(monitored, program).spec.containers[0].ports.some(({ name }) => name === port)

describe('what Prometheus is told to read', () => {
  test('is nothing, and needs no CRD, unless it was asked for', async () => {
    const kinds = (await render()).map(({ kind }) => kind)
    expect(kinds.filter((kind) => [...monitorKinds, 'ConfigMap'].includes(kind))).toEqual([])
    expect(kinds.filter((kind) => kind === 'Service')).toHaveLength(2)
  })

  test('are the pods of the broker, by a PodMonitor and a port that their container names', () => {
    const [monitor, ...others] = ofKind(monitored, 'PodMonitor')
    expect(others).toEqual([])
    const { selector, podMetricsEndpoints = [] } = specOf<MonitorSpec>(monitor as RenderedObject)
    expect(podsWith(selector.matchLabels)).toEqual(['broker'])
    expect(podMetricsEndpoints).toEqual([{ port: 'probes', path: '/metrics', interval: '15s' }])
    expect(hasPort('broker', 'probes')).toBe(true)
  })

  test.each(['operator', 'token-service'] as const)(
    'are the pods of the %s, by a ServiceMonitor, and its Service of metrics alone',
    (program) => {
      const monitor = ofKind(monitored, 'ServiceMonitor').find(({ metadata }) =>
        metadata.name.endsWith(program),
      )
      const { selector, endpoints = [] } = specOf<MonitorSpec>(monitor as RenderedObject)
      const services = ofKind(monitored, 'Service').filter(({ metadata }) =>
        covers(metadata.labels ?? {}, selector.matchLabels),
      )
      expect(services.map(({ metadata }) => metadata.name)).toEqual([`cs-cloudsignal-${program}-metrics`])
      const service = specOf<ServiceSpec>(services[0] as RenderedObject)
      expect(service.clusterIP).toBe('None')
      expect(podsWith(service.selector)).toEqual([program])
      expect(endpoints).toEqual([{ port: 'metrics', path: '/metrics', interval: '15s' }])
      const port = service.ports.find(({ name }) => name === 'metrics')
      expect(hasPort(program, port?.targetPort ?? '')).toBe(true)
    },
  )

  test('is found by the labels that a Prometheus looks for, in the namespace of the release', () => {
    const monitors = monitored.filter(({ kind }) => monitorKinds.includes(kind))
    expect(monitors).toHaveLength(3)
    for (const { metadata, apiVersion } of monitors) {
      expect(apiVersion).toBe('monitoring.coreos.com/v1')
      expect(metadata).toMatchObject({ namespace: 'messaging', labels: { release: 'prometheus' } })
    }
  })

  test('is found by them also where all objects have one of the same name', async () => {
    const labels = { release: 'prometheus' }
    const on = { enabled: true, labels }
    const objects = await render({
      commonLabels: { release: 'ours', team: 'iot' },
      monitoring: { monitors: on, rules: on, dashboards: on },
    })
    const found = objects.filter(({ metadata }) => metadata.labels?.['release'] === 'prometheus')
    expect(found.map(({ kind }) => kind).toSorted()).toEqual(
      ['ConfigMap', 'ConfigMap', 'ConfigMap', ...monitorKinds, 'ServiceMonitor'].toSorted(),
    )
    expect(objects.filter(({ metadata }) => metadata.labels?.['team'] !== 'iot')).toEqual([])
  })

  test('no other Service of the chart leads to a port with metrics', () => {
    const open = ofKind(monitored, 'Service').filter(({ spec }) =>
      (spec as unknown as ServiceSpec).ports.some(({ targetPort }) => targetPort === 'probes'),
    )
    expect(open.map(({ metadata }) => metadata.name)).toEqual([
      'cs-cloudsignal-operator-metrics',
      'cs-cloudsignal-token-service-metrics',
    ])
  })

  test.each([
    ['interval', { monitors: { interval: 'soon' } }],
    ['runbookUrl', { rules: { runbookUrl: 'https://example.com/' } }],
    ['disabled', { rules: { disabled: 'CloudSignalRedisDown' } }],
    ['dashboard', { dashboard: {} }],
  ])('a wrong %s is refused by name', async (name, monitoring) => {
    await expect(render({ monitoring })).rejects.toThrow(name)
  })
})

describe('the dashboards', () => {
  test('lie in ConfigMaps that the sidecar of Grafana finds, whole', async () => {
    const objects = await render({
      monitoring: { dashboards: { enabled: true, annotations: { grafana_folder: 'MQTT' } } },
    })
    const maps = ofKind(objects, 'ConfigMap')
    const files = readdirSync(dashboards)
    expect(files).toHaveLength(3)
    expect(maps.map(({ data }) => Object.keys(data ?? {})).flat()).toEqual(files)
    for (const { metadata, data = {} } of maps) {
      expect(metadata).toMatchObject({
        labels: { grafana_dashboard: '1' },
        annotations: { grafana_folder: 'MQTT' },
      })
      for (const [file, text] of Object.entries(data)) {
        expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(`${dashboards}/${file}`, 'utf8')))
      }
    }
  })

  test('have panels that lie beside and below each other, each with a data source and a query', () => {
    for (const file of readdirSync(dashboards)) {
      const { panels, uid } = JSON.parse(readFileSync(`${dashboards}/${file}`, 'utf8')) as Grafana
      expect(uid).toBe(`cloudsignal-${file.replace('.json', '')}`)
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
      )
      expect(new Set(cells).size, file).toBe(cells.length)
      const graphs = panels.filter(({ type }) => type !== 'row')
      expect(graphs.filter(({ targets = [] }) => targets.length === 0)).toEqual([])
      for (const { gridPos, datasource } of graphs) {
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
        expect(datasource).toEqual({ type: 'prometheus', uid: '$datasource' })
      }
    }
  })
})

interface Grafana {
  readonly uid: string
  readonly panels: readonly {
    readonly id: number
    readonly type: string
    readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
    readonly datasource?: object
    readonly targets?: readonly object[]
  }[]
}
