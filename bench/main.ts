import { loadavg } from 'node:os'
import { join } from 'node:path'
import { describeProblem, DomainError } from '#core/errors.ts'
import { type CommandLine, helpText, parseCommandLine } from './command-line.ts'
import { scenarios } from './index.ts'
import { prepareBench } from './prerequisites.ts'
import { describeProfiles } from './profile.ts'
import { type Failure, markdownTable, textTable } from './report.ts'
import { type Result, resultOf, type Scenario } from './scenario.ts'
import { Workbench } from './workbench.ts'

/** Results go to stdout, everything else here. */
const say = (line: string): void => console.error(line)

// Whatever ends this process, its `exit` ends those that it has started.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

const commandLine = readCommandLine()
const missing = await prepareBench(commandLine.scenarios, (line) => say(`prerequisites: ${line}`))
if (missing.length > 0) {
  for (const line of missing) say(line)
  process.exit(1)
}
const load = loadavg().map((value) => value.toFixed(1))
say(`Node ${process.versions.node}; load average ${load.join(' ')}: on a machine that is busy with something`)
say('else, figures are noise and ratios are rough.')
const outcomes: (Result | Failure)[] = []
for (const scenario of commandLine.scenarios) {
  const outcome = await runScenario(scenario, commandLine)
  outcomes.push(outcome)
  if (commandLine.output === 'json') console.log(JSON.stringify(outcome))
}
if (commandLine.output === 'table') console.log(textTable(outcomes))
if (commandLine.output === 'markdown') console.log(markdownTable(outcomes))
process.exit(outcomes.some((outcome) => 'error' in outcome) ? 1 : 0)

async function runScenario(scenario: Scenario, options: CommandLine): Promise<Result | Failure> {
  const { seconds, rounds, users } = options
  const profile = options.profile === undefined ? undefined : join(options.profile, scenario.name)
  const bench = new Workbench({ seconds, rounds, users, say, ...(profile === undefined ? {} : { profile }) })
  say(`\n${scenario.name}: ${scenario.summary}\n  ${bench.cores.description}`)
  try {
    const result = resultOf(scenario, await scenario.run(bench))
    if (profile === undefined) return result
    await bench.close('SIGTERM')
    for (const line of await describeProfiles(profile)) say(line)
    return { ...result, note: 'ours was slowed by being profiled' }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    say(`  FAILED: ${message}`)
    return { name: scenario.name, error: message }
  } finally {
    await bench.close()
  }
}

function readCommandLine(): CommandLine {
  try {
    const parsed = parseCommandLine(process.argv.slice(2), scenarios)
    if (!parsed.help) return parsed
    console.log(helpText(scenarios))
    process.exit(0)
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    for (const line of [error.message, ...error.problems.map((each) => `  ${describeProblem(each)}`)])
      say(line)
    process.exit(2)
  }
}
