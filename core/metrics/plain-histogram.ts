import type { Metric, Registry } from 'prom-client'

/**
 * A histogram without labels for what happens thousands of times a second: plain numbers, that become a metric only when
 * somebody asks. Returns what observes a value.
 */
export function plainHistogram(
  registry: Registry,
  name: string,
  help: string,
  buckets: readonly number[],
): (value: number) => void {
  const counts = new Float64Array(buckets.length + 1)
  let sum = 0
  const get = async () => {
    let count = 0
    const values = [...buckets, '+Inf' as const].map((le, index) => {
      count += counts[index] ?? 0
      return { labels: { le }, value: count, metricName: `${name}_bucket` }
    })
    const rest = { sum, count }
    return {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...values,
        ...Object.entries(rest).map(([suffix, value]) => ({
          labels: {},
          value,
          metricName: `${name}_${suffix}`,
        })),
      ],
    }
  }
  registry.registerMetric({ name, get } as unknown as Metric)
  return (value) => {
    let index = 0
    while (index < buckets.length && value > (buckets[index] as number)) index += 1
    counts[index] = (counts[index] as number) + 1
    sum += value
  }
}
