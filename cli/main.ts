/** `node cli/main.ts COMMAND`: what operators of an organization ask from a terminal. */
import { describeProblem, isDomainError } from '#core/errors.ts'
import { commands } from './index.ts'

const [name = '--help', ...args] = process.argv.slice(2)
const command = commands.find((each) => each.name === name)

process.exitCode =
  command === undefined
    ? complain(['--help', '-h', 'help'].includes(name) ? undefined : name)
    : await run(command)

async function run({ run, name }: (typeof commands)[number]): Promise<number> {
  try {
    return await run(args, process.env, (text) => process.stdout.write(`${text}\n`))
  } catch (error) {
    const lines = isDomainError(error)
      ? [error.message, ...error.problems.map((problem) => `  ${describeProblem(problem)}`)]
      : [error instanceof Error ? error.message : String(error)]
    process.stderr.write(`cloudsignal ${name}: ${lines.join('\n')}\n`)
    return 2
  }
}

function complain(unknown: string | undefined): number {
  const lines = [
    'node cli/main.ts COMMAND [options]',
    '',
    ...commands.map((each) => `  ${each.name.padEnd(10)} ${each.summary}`),
    '',
    'COMMAND --help lists its options.',
  ]
  if (unknown === undefined) process.stdout.write(`${lines.join('\n')}\n`)
  else process.stderr.write(`cloudsignal: there is no command ${unknown}\n\n${lines.join('\n')}\n`)
  return unknown === undefined ? 0 : 2
}
