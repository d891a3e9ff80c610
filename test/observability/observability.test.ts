import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blockOf, readPage } from '../docs/page-blocks.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { eventually } from '../fixtures/eventually.ts'
import {
  type Prometheus,
  runPromtool,
  startPrometheus,
  type Target,
  whyNoPrometheus,
} from '../fixtures/prometheus.ts'
import { readDashboards } from './dashboards.ts'
import { type Family, readExposition } from './exposition.ts'
import { documentedLabels, type DocumentedMetric, documentedMetrics, rowOf } from './metrics-page.ts'
import {
  type ObservedProgram,
  type ObservedPrograms,
  observedPrograms,
  startObservedPrograms,
} from './observed-programs.ts'

/** As many time series as a program may have when little goes on. */
const mostSeries = 1_000
/** prom-client's own; they are no counters. */
const misnamed = /^nodejs_active_(handles|requests|resources)_total /

describe.skipIf(whyNoControlPlane !== undefined)('what the running programs serve', () => {
  let programs: ObservedPrograms
  let prometheus: Prometheus
  const served = new Map<ObservedProgram, string>()
  const page = documentedMetrics()

  beforeAll(async () => {
    programs = await startObservedPrograms()
    if (whyNoPrometheus === undefined) {
      prometheus = await startPrometheus(targetsOf(programs))
      await eventually('all are read', async () => (await prometheus.query('up == 1')).length === 3)
    }
    await programs.work()
    for (const program of observedPrograms) {
      const response = await fetch(`http://127.0.0.1:${programs.ports[program]}/metrics`)
      served.set(program, await response.text())
    }
  }, 120_000)
  afterAll(() => Promise.all([programs?.stop(), prometheus?.stop()]))

  describe.each(observedPrograms)('by the %s', (program) => {
    const families = (): readonly Family[] => [...readExposition(served.get(program) ?? '').values()]
    const documented = async (): Promise<readonly DocumentedMetric[]> =>
      (await page).filter(({ servedBy }) => servedBy.includes(program))

    test('is on the page of metrics, by type, meaning and labels', async () => {
      const known = new Map((await documented()).map((metric) => [metric.name, metric]))
      const asServed = families().map(({ name, type, help }) => `| ${name} | ${type} | ${help} |`)
      const asWritten = families().map(({ name }) => {
        const metric = known.get(name)
        return metric === undefined ? `${name} is missing` : `| ${name} | ${metric.type} | ${metric.help} |`
      })
      expect(asWritten).toEqual(asServed)
      const unknown = families().flatMap(({ name, labels }) =>
        [...labels.keys()]
          .filter((label) => known.get(name)?.labels.includes(label) !== true)
          .map((label) => [name, label]),
      )
      expect(unknown).toEqual([])
    })

    test('is all that the page says of it', async () => {
      const names = new Set(families().map(({ name }) => name))
      expect((await documented()).map(({ name }) => name).filter((name) => !names.has(name))).toEqual([])
    })

    test('has no value of a label that the page does not name', async () => {
      const rows = await documentedLabels()
      const known = new Map((await documented()).map((metric) => [metric.name, metric]))
      const unnamed = families().flatMap(({ name, labels }) =>
        [...labels].flatMap(([label, values]) => {
          const row = rowOf(rows, known.get(name) ?? { name, heading: '' }, label)
          if (row === undefined || row.isOpen) return []
          return [...values]
            .filter((value) => !row.values.includes(value))
            .map((value) => [name, label, value])
        }),
      )
      expect(unnamed).toEqual([])
    })

    test('has no label that grows with users, and few series', () => {
      const text = served.get(program) ?? ''
      expect(text).not.toMatch(/alice|bob|sensor_01|tmp_|cs_mp_|notes/)
      expect(text.split('\n').filter((line) => !line.startsWith('#')).length).toBeLessThan(mostSeries)
    })

    test.skipIf(whyNoPrometheus !== undefined)('pleases promtool', async () => {
      const said = await runPromtool(['check', 'metrics'], served.get(program)).catch(
        (error: Error) => error.message,
      )
      expect(said.split('\n').filter((line) => line !== '' && !misnamed.test(line))).toEqual([])
    })
  })

  describe.skipIf(whyNoPrometheus !== undefined)('and Prometheus reads', () => {
    test('is all three programs', async () => {
      const found = await prometheus.query('cloudsignal_build_info')
      expect(found.map(({ metric }) => metric['program']).toSorted()).toEqual(inCluster.toSorted())
    })

    test('is how long a revocation took: less than a second', async () => {
      const [took] = await prometheus.query(
        'cloudsignal_broker_revocation_duration_seconds_sum / cloudsignal_broker_revocation_duration_seconds_count',
      )
      expect(Number(took?.value[1])).toBeLessThan(1)
    })

    test('is what the rule for autoscaling by connections asks for, one number for each pod of the broker', async () => {
      const [rule] = await adapterRules()
      const { connectionsMetric } = await autoscalingDefaults()
      expect(await prometheus.query(rule?.seriesQuery ?? '')).not.toEqual([])
      expect(rule?.seriesQuery.split('{')[0]).toBe(connectionsMetric)
      const labels = Object.entries(rule?.resources.overrides ?? {}).map(([label, { resource }]) => [
        label,
        resource,
      ])
      expect(labels).toEqual([
        ['namespace', 'namespace'],
        ['pod', 'pod'],
      ])
      const asked = (rule?.metricsQuery ?? '')
        .replaceAll('<<.Series>>', connectionsMetric)
        .replaceAll('<<.LabelMatchers>>', 'namespace="messaging",pod=~"broker-0|broker-1"')
        .replaceAll('<<.GroupBy>>', 'pod')
      const found = await prometheus.query(asked)
      expect(found.map(({ metric }) => metric)).toEqual([{ pod: 'broker-0' }])
      const all = await prometheus.query('sum(cloudsignal_broker_connections)')
      expect(found[0]?.value[1]).toBe(all[0]?.value[1])
    })

    test.each(readDashboards())('is data for every query of the dashboard $title', async ({ queries }) => {
      const missing = new Set(queries)
      await eventually(`data for ${[...missing].join('\n')}`, async () => {
        for (const query of missing) {
          const found = await prometheus.query(inPlace(query))
          if (found.some(({ value }) => Number.isFinite(Number(value[1])))) missing.delete(query)
        }
        if (missing.size > 0) await programs.work()
        return missing.size === 0
      }).catch(() => {})
      expect([...missing]).toEqual([])
    })
  })
})

interface AdapterRule {
  readonly seriesQuery: string
  readonly resources: { readonly overrides: Readonly<Record<string, { readonly resource: string }>> }
  readonly metricsQuery: string
}

/** What docs/scaling.md tells to give to prometheus-adapter. */
async function adapterRules(): Promise<readonly AdapterRule[]> {
  const { blocks } = await readPage('scaling.md')
  const values = parse(blockOf(blocks, 'yaml')) as {
    readonly rules: { readonly custom: readonly AdapterRule[] }
  }
  return values.rules.custom
}

async function autoscalingDefaults(): Promise<{ readonly connectionsMetric: string }> {
  const values = parse(await readFile('charts/cloudsignal/values.yaml', 'utf8')) as {
    readonly broker: { readonly autoscaling: { readonly connectionsMetric: string } }
  }
  return values.broker.autoscaling
}

const inCluster = observedPrograms.filter((program) => program !== 'standalone')

function targetsOf({ ports }: ObservedPrograms): readonly Target[] {
  return inCluster.map((program) => ({
    port: ports[program],
    labels: { namespace: 'messaging', pod: `${program}-0` },
  }))
}

/** As Grafana puts in what was chosen. */
function inPlace(query: string): string {
  return query
    .replaceAll('$namespace', 'messaging')
    .replaceAll('$pod', '.+')
    .replaceAll('$__rate_interval', '30s')
}
