/**
 * `npm run conformance`: the normative statements of MQTT 3.1.1 and 5, the tests that name each in their title and
 * what became of them, or why there can be none; and as the last line `N statements, N tested, N red`. It fails when one
 * is red, or has neither a test nor a reason. With `--replicas 2` the tests on bare
 * sockets have their clients on two replicas in turn.
 */
import { relative } from 'node:path'
import { parseArgs } from 'node:util'
import { startVitest, type TestCase } from 'vitest/node'
import { prepareTests } from '../test/prerequisites.ts'
import { type Statement, statements } from '../test/conformance/statements.ts'

const { values } = parseArgs({ options: { replicas: { type: 'string', default: '1' } } })
if (!['1', '2'].includes(values.replicas)) {
  console.error(`--replicas is 1 or 2, not ${JSON.stringify(values.replicas)}`)
  process.exit(2)
}
process.env['CLOUDSIGNAL_TEST_REPLICAS'] = values.replicas

const tagPattern = /\[(MQTT3?-[\d.]+-\d+)\]/g

const hasPrepared = await prepareTests()
const tests = hasPrepared ? await runTaggedTests() : []
const byTag = Map.groupBy(
  tests.flatMap((test) => tagsOf(test).map((tag) => ({ tag, test }))),
  ({ tag }) => tag,
)
const known = new Set(statements.map(({ tag }) => tag))
const unknown = [...byTag.keys()].filter((tag) => !known.has(tag))
let [tested, red, forgotten] = [0, 0, 0]
for (const statement of statements) {
  const found = (byTag.get(statement.tag) ?? []).map(({ test }) => test)
  const verdict = verdictOn(statement, found)
  if (found.length > 0) tested += 1
  if (verdict === 'RED') red += 1
  if (verdict === 'UNTESTED') forgotten += 1
  print(statement, verdict, found)
}
if (unknown.length > 0) console.log(`no such statement: ${unknown.join(', ')}`)
console.log(`${statements.length} statements, ${tested} tested, ${red} red`)
// Whatever a test has left open must not keep us.
process.exit(hasPrepared && red + forgotten + unknown.length === 0 ? 0 : 1)

async function runTaggedTests(): Promise<TestCase[]> {
  const vitest = await startVitest(['test/broker'], {
    run: true,
    watch: false,
    reporters: ['dot'],
    testNamePattern: String.raw`\[MQTT3?-`,
  })
  const found = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()])
  await vitest.close()
  return found.filter((test) => test.result().state !== 'skipped')
}

function tagsOf(test: TestCase): string[] {
  return [...test.fullName.matchAll(tagPattern)].map(([, tag]) => tag ?? '')
}

type Verdict = 'passed' | 'RED' | 'no test' | 'UNTESTED'

function verdictOn({ untestable }: Statement, found: readonly TestCase[]): Verdict {
  if (found.length === 0) return untestable === undefined ? 'UNTESTED' : 'no test'
  return found.every((test) => test.result().state === 'passed') ? 'passed' : 'RED'
}

function print({ tag, text, untestable }: Statement, verdict: Verdict, found: readonly TestCase[]): void {
  console.log(`${tag.padEnd(15)} ${verdict.padEnd(9)} ${text}`)
  if (found.length === 0 && untestable !== undefined) console.log(`${' '.repeat(26)}${untestable}`)
  // Of a test that runs over a table, one line.
  const names = new Set(
    found.map((test) => `${fileOf(test)}: ${test.name.replaceAll(tagPattern, '').trim()}`),
  )
  for (const name of [...names].slice(0, 3)) console.log(`${' '.repeat(26)}${name}`)
  if (names.size > 3) console.log(`${' '.repeat(26)}and ${names.size - 3} more`)
}

function fileOf(test: TestCase): string {
  return relative(process.cwd(), test.module.moduleId)
}
