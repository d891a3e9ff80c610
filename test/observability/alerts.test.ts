import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { runPromtool, whyNoPrometheus } from '../fixtures/prometheus.ts'
import { ofKind, render } from '../charts/render.ts'
import { alertCases, type Series } from './alert-cases.ts'
import { documentedMetrics } from './metrics-page.ts'

interface Alert {
  readonly alert: string
  readonly expr: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook_url', string>>
}
interface Rules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[]
}

const pathOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const rulesFile = pathOf('charts/cloudsignal/files/alerts.yaml')
const rules = parse(await readFile(rulesFile, 'utf8')) as Rules
const alerts = rules.groups.flatMap((group) => group.rules)

describe('every alert', () => {
  test('has a case of its own, and no case is left over', () => {
    expect(Object.keys(alertCases).toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted())
  })

  test('asks for metrics that exist', async () => {
    const known = (await documentedMetrics()).flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    )
    const asked = (expr: string): readonly string[] =>
      expr.match(/\b(cloudsignal|nodejs|process|controller_runtime|workqueue|rest_client|leader)_\w+/g) ?? []
    const without = alerts.filter(({ expr }) => asked(expr).length === 0)
    expect(without).toEqual([])
    expect(alerts.flatMap(({ expr }) => asked(expr)).filter((name) => !known.includes(name))).toEqual([])
  })

  test('says how bad it is, what is wrong, and where to read on', () => {
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning', 'info']).toContain(labels['severity'])
      expect(annotations.summary, alert).toMatch(/^[A-Z].*[^.]$/)
      expect(annotations.description, alert).toMatch(/^.*\.$/)
      expect(annotations.runbook_url).toMatch(new RegExp(`/docs/runbooks/${alert}\\.md$`))
    }
  })

  test('has a runbook with what it means, what comes of it, how to look and what to do; none is left over', async () => {
    const directory = pathOf('docs/runbooks')
    const files = (await readdir(directory)).filter((file) => file !== 'README.md')
    expect(files.toSorted()).toEqual(alerts.map(({ alert }) => `${alert}.md`).toSorted())
    for (const { alert, labels } of alerts) {
      const text = await readFile(join(directory, `${alert}.md`), 'utf8')
      expect(text.split('\n')[0]).toBe(`# ${alert}`)
      expect(text).toContain(`Severity: ${labels['severity']}.`)
      expect(text.match(/^## .*$/gm), alert).toEqual([
        '## Meaning',
        '## Impact',
        '## Diagnosis',
        '## Mitigation',
      ])
      expect(text, alert).toMatch(/## Diagnosis\n[\s\S]*```\n[\s\S]+```\n[\s\S]*## Mitigation/)
    }
  })
})

describe('what is written of alerts', () => {
  test('is a row of the page of metrics for each', async () => {
    const page = await readFile(pathOf('docs/metrics.md'), 'utf8')
    for (const { alert, labels, annotations } of alerts) {
      expect(page).toContain(
        `| [${alert}](runbooks/${alert}.md) | ${labels['severity']} | ${annotations.summary} |`,
      )
    }
  })

  test('leads to pages that are there', async () => {
    const files = ['docs/metrics.md', ...alerts.map(({ alert }) => `docs/runbooks/${alert}.md`)]
    const links = files.map(async (file) => {
      const text = await readFile(pathOf(file), 'utf8')
      return [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) =>
        join(dirname(pathOf(file)), link),
      )
    })
    const found = (await Promise.all(links)).flat()
    expect(found.length).toBeGreaterThan(alerts.length)
    for (const path of found) await expect(access(path), path).resolves.toBeUndefined()
  })
})

describe('the PrometheusRule of the chart', () => {
  const spec = async (values: object): Promise<Rules> =>
    ofKind(await render({ monitoring: { rules: { enabled: true, ...values } } }), 'PrometheusRule')[0]
      ?.spec as unknown as Rules

  test('holds all alerts as they are', async () => {
    expect(await spec({})).toEqual(rules)
  })

  test('leaves out what is disabled, and adds labels and the place of the runbooks', async () => {
    const { groups } = await spec({
      disabled: ['CloudSignalGuessing'],
      alertLabels: { team: 'messaging' },
      runbookUrl: 'https://wiki.example.com/mqtt',
    })
    const changed = groups.flatMap((group) => group.rules)
    expect(changed.map(({ alert }) => alert)).toEqual(
      alerts.map(({ alert }) => alert).filter((name) => name !== 'CloudSignalGuessing'),
    )
    for (const { alert, labels, annotations } of changed) {
      expect(labels).toMatchObject({ team: 'messaging', severity: expect.any(String) as string })
      expect(annotations.runbook_url).toBe(`https://wiki.example.com/mqtt/${alert}.md`)
    }
  })
})

describe.skipIf(whyNoPrometheus !== undefined)('promtool', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-alerts-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('can read the rules', async () => {
    await expect(runPromtool(['check', 'rules', rulesFile])).resolves.toContain(
      `${alerts.length} rules found`,
    )
  })

  /** Each with its own rule alone: promtool evaluates all rules of a file for every test. */
  const check = async (cases: Readonly<Record<string, readonly object[]>>): Promise<string> => {
    const files = Object.entries(cases).map(async ([name, tests]) => {
      const [own, test] = [join(directory, `${name}.rules.yaml`), join(directory, `${name}.yaml`)]
      const alert = alerts.find((one) => one.alert === name)
      await writeFile(own, stringify({ groups: [{ name, rules: [alert] }] }))
      await writeFile(test, stringify({ rule_files: [own], evaluation_interval: '1m', tests }))
      return test
    })
    return runPromtool(['test', 'rules', ...(await Promise.all(files))])
  }

  test('sees every alert fire with these words when it should, and no other time', async () => {
    await check(Object.fromEntries(alerts.map((alert) => [alert.alert, testsOf(alert)])))
  })

  test('sees it fire for one of several workers of a broker, which each say what they are', async () => {
    const joined = alerts.filter(({ expr }) => expr.includes('group_left (program)'))
    expect(joined.length).toBeGreaterThan(2)
    await check(Object.fromEntries(joined.map((alert) => [alert.alert, [ofWorkers(alert)]])))
  })

  test('would see one that does not fire, and one that says something else', async () => {
    const [first] = alerts
    const other = { ...first, annotations: { ...first?.annotations, summary: 'Something else' } } as Alert
    const silent = testsOf(first as Alert).map((one) => ({ ...one, input_series: [] }))
    await expect(check({ CloudSignalBrokerAbsent: silent })).rejects.toThrow('CloudSignalBrokerAbsent')
    await expect(check({ CloudSignalBrokerAbsent: testsOf(other) })).rejects.toThrow('Something else')
  })
})

/** The series that are a reason come from worker 1, beside which there are others. */
function ofWorkers(alert: Alert): object {
  const found = alertCases[alert.alert]
  if (found === undefined) throw new Error(`no case of ${alert.alert}`)
  const of = (worker: string, only = ''): readonly object[] =>
    seriesOf(found.fires)
      .filter(({ series }) => series.startsWith(only))
      .map(({ series, values }) => ({ series: series.replace(/}$/, `,worker="${worker}"}`), values }))
  const expected = {
    exp_labels: { ...alert.labels, ...found.labels, worker: '1' },
    exp_annotations: { ...alert.annotations, description: found.says },
  }
  const others = ['2', 'supervisor'].flatMap((worker) => of(worker, 'cloudsignal_build_info'))
  return {
    name: alert.alert,
    interval: '1m',
    input_series: [...of('1'), ...others],
    alert_rule_test: [{ eval_time: found.after, alertname: alert.alert, exp_alerts: [expected] }],
  }
}

function seriesOf(series: Series): readonly { readonly series: string; readonly values: string }[] {
  return Object.entries(series).map(([name, values]) => ({ series: name, values }))
}

/**
 * For promtool: the series that are a reason and, in another namespace, those that are none. Where one says something of
 * all namespaces, they are two tests.
 */
function testsOf({ alert, labels, annotations }: Alert): readonly object[] {
  const found = alertCases[alert]
  if (found === undefined) return []
  const { fires, after, says } = found
  const expected = {
    exp_labels: { ...labels, ...found.labels },
    exp_annotations: { ...annotations, description: says },
  }
  const silent = seriesOf(found.silent).map(({ series, values }) => ({
    series: series.replaceAll('namespace="messaging"', 'namespace="quiet"'),
    values,
  }))
  const testOf = (series: readonly object[], alerts: readonly object[]): object => ({
    name: alert,
    interval: '1m',
    input_series: series,
    alert_rule_test: [{ eval_time: after, alertname: alert, exp_alerts: alerts }],
  })
  return found.labels['namespace'] === undefined
    ? [testOf(seriesOf(fires), [expected]), testOf(silent, [])]
    : [testOf([...seriesOf(fires), ...silent], [expected])]
}
