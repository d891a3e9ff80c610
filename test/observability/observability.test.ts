import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { runPromtool, whyNoPrometheus } from '../fixtures/prometheus.ts'
import { type Family, readExposition } from './exposition.ts'
import { type DocumentedMetric, documentedMetrics } from './metrics-page.ts'
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
  const served = new Map<ObservedProgram, string>()
  const page = documentedMetrics()

  beforeAll(async () => {
    programs = await startObservedPrograms()
    await programs.work()
    for (const program of observedPrograms) {
      const response = await fetch(`http://127.0.0.1:${programs.ports[program]}/metrics`)
      served.set(program, await response.text())
    }
  }, 120_000)
  afterAll(() => programs?.stop())

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
        [...labels]
          .filter((label) => known.get(name)?.labels.includes(label) !== true)
          .map((label) => [name, label]),
      )
      expect(unknown).toEqual([])
    })

    test('is all that the page says of it', async () => {
      const names = new Set(families().map(({ name }) => name))
      expect((await documented()).map(({ name }) => name).filter((name) => !names.has(name))).toEqual([])
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
})
