import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { statements } from './statements.ts'

const titles = globSync('test/broker/**/*.test.ts').map((file) => readFileSync(file, 'utf8'))
const named = new Set(
  titles.flatMap((text) => [...text.matchAll(/\[(MQTT3?-[\d.]+-\d+)\]/g)].map(([, tag]) => tag)),
)

test('every statement of the standards has a test that names it, or a reason why it can have none', () => {
  const forgotten = statements.filter(({ tag, untestable }) => untestable === undefined && !named.has(tag))
  expect(forgotten).toEqual([])
})

test('tests name no statement that is not in the tables', () => {
  const known = new Set<string | undefined>(statements.map(({ tag }) => tag))
  expect([...named].filter((tag) => !known.has(tag))).toEqual([])
})
