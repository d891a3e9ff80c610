import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import { plainHistogram } from '#core/metrics/plain-histogram.ts'
import { readGauge } from '#core/metrics/read-gauge.ts'

describe('a plain histogram', () => {
  test('counts each value in every bucket that it fits into, as Prometheus wants it', async () => {
    const registry = new Registry()
    const observe = plainHistogram(registry, 'took_seconds', 'Time', [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) observe(value)
    expect(await registry.metrics()).toBe(
      [
        '# HELP took_seconds Time',
        '# TYPE took_seconds histogram',
        'took_seconds_bucket{le="0.1"} 2',
        'took_seconds_bucket{le="1"} 3',
        'took_seconds_bucket{le="+Inf"} 4',
        'took_seconds_sum 7.65',
        'took_seconds_count 4',
        '',
      ].join('\n'),
    )
  })
})

describe('a gauge that is read', () => {
  test('shows what is so when somebody asks, and nothing while that is not known', async () => {
    const registry = new Registry()
    let value: number | undefined
    readGauge(registry, 'depth', 'Depth', () => value)
    const samples = async (): Promise<readonly string[]> =>
      (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(await samples()).toEqual([])
    value = 0
    expect(await samples()).toEqual(['depth 0'])
    value = 3
    expect(await samples()).toEqual(['depth 3'])
    value = undefined
    expect(await samples()).toEqual([])
  })
})

describe('labels of organizations', () => {
  test('are their own for the first, who keep them, and one for all others', () => {
    const labels = new OrganizationLabels(2)
    expect(['a', 'b', 'c', 'a', 'd', 'b'].map((organization) => labels.of(organization))).toEqual([
      'a',
      'b',
      'other',
      'a',
      'other',
      'b',
    ])
  })

  test('are one for all where none may have its own', () => {
    expect(new OrganizationLabels(0).of('a')).toBe('other')
  })
})
