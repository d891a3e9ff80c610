import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { helpText, parseCommandLine } from '../../bench/command-line.ts'
import { scenarios } from '../../bench/index.ts'

const parse = (...args: string[]) => parseCommandLine(args, scenarios)

function remediesOf(...args: string[]): string[] {
  try {
    parse(...args)
  } catch (error) {
    if (error instanceof DomainError) return error.problems.map(({ field, remedy }) => `${field}: ${remedy}`)
  }
  return []
}

describe('the command line of the benchmarks', () => {
  test('without a name means every scenario, as a table', () => {
    expect(parse()).toMatchObject({
      scenarios,
      output: 'table',
      seconds: 4,
      rounds: 3,
      users: 10_000,
      help: false,
    })
  })

  test('with names means those, in the order of the registry', () => {
    const { scenarios: chosen } = parse('connect', 'qos0', '--json', '--seconds', '1')
    expect(chosen.map(({ name }) => name)).toEqual(['qos0', 'connect'])
  })

  test('names what was probably meant by an unknown scenario or option', () => {
    expect(remediesOf('qos2', '--secnds=3')).toEqual([
      '--secnds: is no option; did you mean --seconds? (--help lists all)',
      'qos2: is no scenario; did you mean qos0? (--help lists all)',
    ])
  })

  test.each([['0'], ['-1'], ['1.5'], ['soon'], ['601']])('takes no window of %s seconds', (text) => {
    expect(remediesOf(`--seconds=${text}`)).toEqual(['--seconds: give a whole number from 1 to 600'])
  })

  test('takes as many users as an operator is asked to serve, and no more', () => {
    expect(parse('reconcile-cold', '--users', '2000')).toMatchObject({ users: 2000 })
    expect(remediesOf('--users=100001')).toEqual(['--users: give a whole number from 1 to 100000'])
  })

  test('asks for a value that is not there', () => {
    expect(remediesOf('--rounds', '--json')).toEqual(['--rounds: give a value: --rounds N'])
  })

  test('prints one kind of result', () => {
    expect(remediesOf('--json', '--markdown')).toEqual(['--json: choose it or --markdown'])
  })

  test('has a help that names every scenario with its goal', () => {
    const help = helpText(scenarios)
    for (const { name, summary } of scenarios)
      expect(help).toMatch(new RegExp(`${name} +${summary.slice(0, 9)}`))
    expect(help).toContain('ratio >= 2.5, against mosquitto')
  })
})

describe('the registry', () => {
  test('has each file of scenarios/ once, under its name', async () => {
    const files = (await readdir('bench/scenarios')).map((file) => file.replace(/\.ts$/, ''))
    expect(scenarios.map(({ name }) => name).toSorted()).toEqual(files.toSorted())
  })
})
