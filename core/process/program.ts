import { describeProblem, isDomainError } from '#core/errors.ts'
import { createLogger, errorFields, type Log, type LogLevel } from './logger.ts'
import { describeSettings, readSettings, type Setting, type SettingsOf } from './settings.ts'
import { Shutdown } from './shutdown.ts'

/** Environment names that belong to one program each; the others leave them alone. */
const programPrefixes = {
  cli: 'CLOUDSIGNAL_CLI_',
  operator: 'CLOUDSIGNAL_OPERATOR_',
  broker: 'CLOUDSIGNAL_BROKER_',
  'token-service': 'CLOUDSIGNAL_TOKEN_SERVICE_',
} as const

type SettingTable = Readonly<Record<string, Setting<unknown>>>

export interface ProgramContext<Settings> {
  readonly settings: Settings
  readonly log: Log
  readonly shutdown: Shutdown
}

export interface Program<Table extends SettingTable> {
  readonly name: Exclude<keyof typeof programPrefixes, 'cli'>
  readonly summary: string
  readonly settings: Table
  /** How long a shutdown may take. */
  readonly graceMs: number | ((settings: SettingsOf<Table>) => number)
  /** On every line of its log. */
  readonly logFields?: Readonly<Record<string, string | number>>
  /** Those that end it; SIGTERM and SIGINT when absent. */
  readonly signals?: readonly NodeJS.Signals[]
  run(context: ProgramContext<SettingsOf<Table>>): Promise<void>
}

/**
 * The frame of every program: `--help`, settings with all their problems at once (exit 2), a logger, shutdown
 * on signals, and a last resort for errors nobody caught: they are logged, never fatal.
 */
export async function runProgram<Table extends SettingTable & { readonly logLevel: Setting<LogLevel> }>(
  program: Program<Table>,
): Promise<void> {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    process.stdout.write(helpOf(program))
    return
  }
  const settings = settingsOrExit(program)
  const log = createLogger(program.name, settings.logLevel as LogLevel, program.logFields)
  const shutdown = new Shutdown(log)
  process.on('uncaughtException', (error) =>
    log.error(errorFields(error), 'an error was caught by nobody; carrying on'),
  )
  process.on('unhandledRejection', (error) =>
    log.error(errorFields(error), 'a rejection was caught by nobody; carrying on'),
  )
  const { graceMs } = program
  shutdown.onSignals(typeof graceMs === 'number' ? graceMs : graceMs(settings), program.signals)
  try {
    await program.run({ settings, log, shutdown })
  } catch (error) {
    // A signal while starting: the shutdown already runs.
    if (shutdown.signal.aborted) return
    log.error(errorFields(error), 'could not start')
    await shutdown.run()
    process.exit(1)
  }
}

function helpOf(program: Pick<Program<SettingTable>, 'summary' | 'settings'>): string {
  return `${program.summary}\n\nSettings are environment variables:\n\n${describeSettings(program.settings)}\n`
}

function settingsOrExit<Table extends SettingTable>(program: Program<Table>): SettingsOf<Table> {
  const others = Object.entries(programPrefixes)
    .filter(([name]) => name !== program.name)
    .map(([, prefix]) => prefix)
  try {
    return readSettings(program.settings, process.env, others)
  } catch (error) {
    if (!isDomainError(error, 'invalid-settings')) throw error
    const lines = error.problems.map((problem) => `  ${describeProblem(problem)}`)
    process.stderr.write(`cloudsignal ${program.name}: ${error.message}:\n${lines.join('\n')}\n`)
    process.exit(2)
  }
}
