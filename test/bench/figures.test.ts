import { describe, expect, test } from 'vitest'
import { figuresOf, type Measurement, withRatioPerCpu } from '../../bench/compare.ts'
import { coresOf } from '../../bench/cores.ts'
import { markdownTable, textTable } from '../../bench/report.ts'
import { type Figures, resultOf, type Scenario } from '../../bench/scenario.ts'

const measured = (value: number, over: Partial<Measurement> = {}): Measurement => ({
  value,
  cpu: { broker: 0.9, generator: 0.3 },
  delivered: 1,
  ...over,
})

const scenario = (over: Partial<Scenario> = {}): Scenario => ({
  name: 'sample',
  summary: 'a sample',
  unit: 'messages/s',
  against: 'mosquitto',
  goal: { figure: 'ratio', atLeast: 2 },
  run: async () => ({}),
  ...over,
})

describe('figures', () => {
  test('are the medians of the rounds, whatever the first one was', () => {
    const figures = figuresOf({
      ours: [measured(9), measured(300), measured(200)],
      peer: [measured(100), measured(90), measured(5000)],
    })
    expect(figures).toMatchObject({ ours: 200, peer: 100, ratio: 2, delivered: { ours: 3, peer: 3 } })
    expect(figures.rounds).toEqual({ ours: [9, 300, 200], peer: [100, 90, 5000] })
  })

  test('say when it was the generator that was the limit', () => {
    const busy = measured(1, { cpu: { broker: 0.5, generator: 0.98 } })
    const figures = figuresOf({ ours: [busy], peer: [measured(1)] })
    expect(figures.bounded_by).toEqual({ ours: 'generator', peer: 'broker' })
    expect(textTable([resultOf(scenario(), figures)])).toContain(
      'sample: the generator was the limit of ours',
    )
  })

  test('say that nobody was the limit where every process waited', () => {
    const waiting = measured(1, { cpu: { broker: 0.5, generator: 0.6 } })
    expect(figuresOf({ ours: [waiting], peer: [waiting] }).bounded_by).toEqual({
      ours: 'nobody',
      peer: 'nobody',
    })
  })

  test('count by CPU-second of the brokers too, of both replicas together', () => {
    const ours = measured(300, { cpu: { broker: 0.9, 'second broker': 0.6, redis: 0.5 } })
    const peer = measured(100, { cpu: { broker: 0.5, generator: 0.1 } })
    expect(withRatioPerCpu(figuresOf({ ours: [ours], peer: [peer] }))).toMatchObject({
      ratio: 3,
      ratio_per_cpu: 1,
    })
  })

  test('hold when the goal is reached, and not one step before', () => {
    const holds = (figures: Figures, over: Partial<Scenario> = {}) => resultOf(scenario(over), figures).holds
    expect([holds({ ratio: 2 }), holds({ ratio: 1.99 }), holds({})]).toEqual([true, false, undefined])
    const atMost = { goal: { figure: 'p99_ms', atMost: 100 } } as const
    expect([holds({ p99_ms: 100 }, atMost), holds({ p99_ms: 101 }, atMost)]).toEqual([true, false])
  })

  test('hold when each of several goals is reached', () => {
    const both = {
      goal: [
        { figure: 'seconds', atMost: 30 },
        { figure: 'api_writes', atMost: 0 },
      ],
    } as const
    const result = (figures: Figures) => resultOf(scenario(both), figures)
    expect(result({ seconds: 30, api_writes: 0 })).toMatchObject({
      goal: 'seconds <= 30, api_writes <= 0',
      holds: true,
    })
    expect([
      result({ seconds: 30, api_writes: 1 }).holds,
      result({ seconds: 31, api_writes: 0 }).holds,
    ]).toEqual([false, false])
    expect(result({ seconds: 1 })).not.toHaveProperty('holds')
  })

  test('do not hold when ours lost a message', () => {
    const figures = figuresOf({ ours: [measured(900, { lost: 1 })], peer: [measured(1)] })
    expect(resultOf(scenario(), figures)).toMatchObject({ ratio: 900, holds: false, goal: 'ratio >= 2' })
  })

  test('make a table for people and one for a page, with what failed in both', () => {
    const outcomes = [
      resultOf(scenario(), { ours: 12_345, peer: 5, ratio: 2469 }),
      { name: 'other', error: 'oh' },
    ]
    expect(textTable(outcomes)).toMatch(
      /sample +12,345 messages\/s +5 messages\/s +mosquitto +2469x +ratio >= 2 +yes/,
    )
    expect(textTable(outcomes)).toContain('other FAILED: oh')
    expect(markdownTable(outcomes)).toContain('| other | FAILED |')
  })
})

describe('cores', () => {
  const on = (list: string) => coresOf(`Name:\tnode\nCpus_allowed_list:\t${list}\n`)

  test('give a broker one of its own', () => {
    expect(on('0-1')).toMatchObject({ first: [0], second: [1], besideOne: [1], besideTwo: [0, 1] })
    expect(on('2,4-6')).toMatchObject({ first: [2], second: [4], besideOne: [4, 5, 6], besideTwo: [5, 6] })
    expect(on('0-1').pinned([1], ['redis-server', '--port', '1'])).toEqual([
      'taskset',
      '-c',
      '1',
      'redis-server',
      '--port',
      '1',
    ])
  })

  test('are not divided where there is one', () => {
    expect(on('3')).toMatchObject({ first: [3], second: [3], besideOne: [3] })
    expect(on('3').pinned([3], ['true'])).toEqual(['true'])
  })
})
