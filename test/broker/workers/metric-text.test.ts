import { Counter, Gauge, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { mergeMetricTexts } from '../../../broker/workers/metric-text.ts'

async function textOf(worker: string, hasGauge: boolean): Promise<string> {
  const registry = new Registry()
  registry.setDefaultLabels({ worker })
  const registers = [registry]
  new Counter({ registers, name: 'things_total', help: 'Things # of it', labelNames: ['a'] }).inc(
    { a: 'x' },
    2,
  )
  if (hasGauge) new Gauge({ registers, name: 'level', help: 'Level' }).set(1)
  return registry.metrics()
}

test('several texts are one, with what is said of each metric once', async () => {
  expect(mergeMetricTexts([await textOf('1', false), await textOf('2', true)]))
    .toBe(`# HELP things_total Things # of it
# TYPE things_total counter
things_total{a="x",worker="1"} 2
things_total{a="x",worker="2"} 2

# HELP level Level
# TYPE level gauge
level{worker="2"} 1
`)
  expect(mergeMetricTexts([])).toBe('')
})
