import { describeProblem, DomainError, type Problem } from '#core/errors.ts'
import { describeFlags, type FlagTable, readFlags } from '#core/process/flags.ts'
import { type LogLevel, logLevels } from '#core/process/logger.ts'
import { oneOf, port, Remedy, text } from '#core/process/settings.ts'
import { parseRedisUrl } from '#core/redis/redis-location.ts'

/** What `npm start -- …` may say. */
export interface CommandLine {
  readonly manifests: string
  readonly state: string
  readonly host: string
  readonly redisUrl?: string
  readonly ports: Readonly<Record<PortName, number>>
  readonly demoIssuer: boolean
  readonly logLevel: LogLevel
  readonly help: boolean
}

export type PortName = 'mqtts' | 'wss' | 'http' | 'issuer' | 'probes'

interface Flag {
  readonly value: string
  readonly description: string
  readonly default?: string
  readonly parse: (text: string) => unknown
  readonly isSecret?: boolean
}

const portFlags: Readonly<Record<PortName, string>> = {
  mqtts: 'mqtts-port',
  wss: 'wss-port',
  http: 'http-port',
  issuer: 'issuer-port',
  probes: 'probe-port',
}

const aPort = (description: string, value: number): Flag => ({
  value: 'PORT',
  description,
  default: String(value),
  parse: port,
})

const flags: Readonly<Record<string, Flag>> = {
  manifests: {
    value: 'DIR',
    description: 'Directory of YAML or JSON manifests; watched.',
    default: 'examples',
    parse: text,
  },
  state: {
    value: 'DIR',
    description: 'Where generated passwords, short ids and certificates are kept.',
    default: '.cloudsignal',
    parse: text,
  },
  redis: {
    value: 'URL',
    description: 'Puts records and messages into Redis instead of memory.',
    parse: (given) => {
      const location = parseRedisUrl(given)
      return location instanceof Remedy ? location : given
    },
    isSecret: true,
  },
  host: { value: 'ADDRESS', description: 'Address to listen on.', default: '127.0.0.1', parse: text },
  'mqtts-port': aPort('MQTT over TLS.', 8883),
  'wss-port': aPort('MQTT over WebSocket and TLS.', 18_885),
  'http-port': aPort('The token service.', 8080),
  'issuer-port': aPort('The demo issuer of identity tokens, on the loopback.', 8087),
  'probe-port': aPort('Health, readiness and metrics.', 9090),
  'log-level': {
    value: 'LEVEL',
    description: `Least level of the JSON log: ${logLevels.join(', ')}.`,
    default: 'warn',
    parse: oneOf(logLevels),
  },
}
const switches: Readonly<Record<string, string>> = {
  'no-demo-issuer': 'Runs no demo issuer. It gives a token to everybody who asks.',
  help: 'This text.',
}

const table: FlagTable = {
  valued: Object.fromEntries(
    Object.entries(flags).map(([name, { value, description, default: preset }]) => [
      name,
      [value, preset === undefined ? description : `${description} Default: ${preset}.`] as const,
    ]),
  ),
  switches,
}

/** Reads the arguments, or throws `invalid-settings` with every problem. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const given = readFlags(args, table, (word) => ({ field: word, remedy: 'remove it (--help lists all)' }))
  const problems: Problem[] = [...given.problems]
  const values = new Map<string, unknown>()
  for (const [name, flag] of Object.entries(flags)) {
    const found = given.values.get(name)?.at(-1) ?? flag.default
    if (found === undefined) continue
    const value = flag.parse(found)
    if (!(value instanceof Remedy)) values.set(name, value)
    else problems.push({ field: `--${name}`, ...(flag.isSecret ? {} : { value: found }), remedy: value.text })
  }
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'the command line can not be used', { problems })
  }
  const redisUrl = values.get('redis')
  return {
    manifests: String(values.get('manifests')),
    state: String(values.get('state')),
    host: String(values.get('host')),
    ...(typeof redisUrl === 'string' ? { redisUrl } : {}),
    ports: Object.fromEntries(
      Object.entries(portFlags).map(([name, flag]) => [name, Number(values.get(flag))]),
    ) as Record<PortName, number>,
    demoIssuer: !given.switches.has('no-demo-issuer'),
    logLevel: values.get('log-level') as LogLevel,
    help: given.switches.has('help'),
  }
}

export function helpText(): string {
  return [
    'CloudSignal standalone: operator, token service and broker in one process.',
    '',
    'npm start -- [options]',
    '',
    ...describeFlags(table),
    '',
    'A port of 0 takes a free one.',
    '',
  ].join('\n')
}

/** An error at start as a person can use it: what is wrong, and what to do. */
export function describeFailure(error: unknown, ports?: CommandLine['ports']): string {
  if (!(error instanceof DomainError)) return error instanceof Error ? error.message : String(error)
  const lines = [error.message, ...error.problems.map((problem) => `  ${describeProblem(problem)}`)]
  if (ports !== undefined && error.code === 'port-in-use') lines.push(...portAdvice(error.message, ports))
  return lines.join('\n')
}

function portAdvice(message: string, ports: CommandLine['ports']): readonly string[] {
  const taken = Number(/^port (\d+) /.exec(message)?.[1])
  const names = Object.keys(portFlags) as PortName[]
  const name = names.find((candidate) => ports[candidate] === taken)
  if (name === undefined) return []
  const advice = [
    `  To see who has it:    ss -ltnp 'sport = :${taken}'`,
    `  To take another one:  npm start -- --${portFlags[name]} ${taken + 1000}   (0 takes a free one)`,
  ]
  if (name !== 'issuer') return advice
  return [...advice, '  and write it into examples/3-identity-provider.yaml; or go without: --no-demo-issuer']
}
