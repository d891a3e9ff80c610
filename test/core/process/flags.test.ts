import { expect, test } from 'vitest'
import { describeProblem } from '#core/errors.ts'
import { describeFlags, readFlags } from '#core/process/flags.ts'

const table = {
  valued: { attribute: ['NAME=VALUE', 'An attribute.'], topic: ['TOPIC', 'A topic.'] },
  switches: { json: 'As JSON.', help: 'This text.' },
} as const

test('flags come with a space or an equals sign, several times, and between words', () => {
  const given = readFlags(['explain', '--attribute', 'a=1', '--json', '--attribute=b=2', 'more', '-h'], table)
  expect(given.values.get('attribute')).toEqual(['a=1', 'b=2'])
  expect(given.values.has('topic')).toBe(false)
  expect([...given.switches]).toEqual(['json', 'help'])
  expect(given.words).toEqual(['explain', 'more'])
  expect(given.problems).toEqual([])
})

test('all that is wrong is told, in its order', () => {
  const args = ['--tpic', 'word', '--topic', '--json', '--', '--constructor', '-x']
  const { problems } = readFlags(args, table, (word) => ({ field: word, remedy: 'remove it' }))
  expect(problems.map(describeProblem)).toEqual([
    '--tpic: is no option; did you mean --topic? (--help lists all)',
    'word: remove it',
    '--topic: give a value: --topic TOPIC',
    '--constructor: remove it',
    '-x: remove it',
  ])
})

test('names of object prototypes are no flags', () => {
  const { problems } = readFlags(['--constructor', '--toString=x'], table)
  expect(problems.map(({ field }) => field)).toEqual(['--constructor', '--toString'])
})

test('the help has every flag', () => {
  expect(describeFlags(table, 24)).toEqual([
    '  --attribute NAME=VALUE   An attribute.',
    '  --topic TOPIC            A topic.',
    '  --json                   As JSON.',
    '  --help                   This text.',
  ])
})
