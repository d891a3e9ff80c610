import { isDomainError } from '#core/errors.ts'
import { programRegistry } from '#core/metrics/program-registry.ts'
import { createLogger, errorFields } from '#core/process/logger.ts'
import { announcement, userLine } from './announcement.ts'
import { type CommandLine, describeFailure, helpText, parseCommandLine } from './command-line.ts'
import { type DemoIssuer, startDemoIssuer } from './demo-issuer.ts'
import { sampleUsers } from './samples.ts'
import { type Standalone, startStandalone } from './standalone.ts'
import { StateDirectory } from './state-directory.ts'

const say = (line: string): void => console.log(line)

const options = readOptions()
const interrupted = new AbortController()
const log = createLogger('standalone', options.logLevel)
process.on('uncaughtException', (error) =>
  log.error(errorFields(error), 'an error was caught by nobody; carrying on'),
)
process.on('unhandledRejection', (error) =>
  log.error(errorFields(error), 'a rejection was caught by nobody; carrying on'),
)

let issuer: DemoIssuer | undefined
let standalone: Standalone | undefined
onSignals()
try {
  await run()
} catch (error) {
  await end()
  if (interrupted.signal.aborted) process.exit(0)
  console.error(`\nCloudSignal could not start: ${describeFailure(error, options.ports)}\n`)
  process.exit(isDomainError(error, 'invalid-settings') ? 2 : 1)
}

async function run(): Promise<void> {
  const state = await StateDirectory.open(options.state)
  if (options.demoIssuer) issuer = await startDemoIssuer({ port: options.ports.issuer, state })
  const { signal } = interrupted
  standalone = await startStandalone({
    ...options,
    state,
    log,
    registry: programRegistry('standalone'),
    say,
    signal,
  })
  signal.throwIfAborted()
  const told = await announce(standalone)
  announceNewUsers(standalone, told)
}

/** Resolves with the users that were announced. */
async function announce(running: Standalone): Promise<Set<string>> {
  const issuerUrl = issuer === undefined ? {} : { issuer: issuer.issuer }
  say(await announcement(running, { host: options.host, manifests: options.manifests, ...issuerUrl }))
  const isTrusted = running.host
    .list('IdentityProvider')
    .some(({ spec }) => spec.oidc?.issuer === issuer?.issuer)
  if (issuer !== undefined && !isTrusted) {
    say(`No IdentityProvider trusts the demo issuer: give one spec.oidc.issuer ${issuer.issuer}\n`)
  }
  return new Set((await sampleUsers(running.host)).map(({ username, password }) => `${username} ${password}`))
}

/** Users that are added while it runs, with the password that was made for them. */
function announceNewUsers(running: Standalone, told: Set<string>): void {
  running.host.onChange(({ kind, of }) => {
    if (kind !== 'MqttUser' || of !== 'status') return
    void sampleUsers(running.host).then((users) => {
      for (const user of users) {
        const key = `${user.username} ${user.password}`
        if (!told.has(key)) say(`  ${userLine(user)}`)
        told.add(key)
      }
    })
  })
}

function readOptions(): CommandLine {
  try {
    const commandLine = parseCommandLine(process.argv.slice(2))
    if (!commandLine.help) return commandLine
    say(helpText())
    process.exit(0)
  } catch (error) {
    console.error(describeFailure(error))
    process.exit(2)
  }
}

function onSignals(): void {
  const stop = (): void => {
    if (interrupted.signal.aborted) process.exit(1)
    interrupted.abort(new Error('interrupted'))
    if (standalone === undefined) return
    say('\nClosing; press Ctrl-C again to end at once.')
    void end().then(() => process.exit(0))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

async function end(): Promise<void> {
  await standalone?.close()
  await issuer?.close()
}
