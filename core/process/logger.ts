import pino from 'pino'
import { describeProblem, isDomainError } from '#core/errors.ts'

/** What parts of the product need of a logger. Fields hold names, codes and counts; never a secret or a payload. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

// A second line of defence: nothing under these names should be given to a logger at all.
const neverLogged = ['password', 'token', 'secret', 'authorization', 'key', 'verifier']

/** JSON lines on stdout, with the time in RFC 3339. */
export function createLogger(program: string, level: LogLevel, fields: object = {}): Log {
  return pino({
    level,
    base: { program, ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: neverLogged.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
  })
}

/** Says nothing. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** An error as log fields: its name, message, code, that of its cause, and what is to be done; no stack, no other property. */
export function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { error: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
  const problems =
    isDomainError(error) && error.problems.length > 0 ? { problems: error.problems.map(describeProblem) } : {}
  return { error: `${error.name}: ${error.message}`, ...code, ...cause, ...problems }
}
