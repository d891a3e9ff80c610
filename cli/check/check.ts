import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { rootCertificates } from 'node:tls'
import { systemClock } from '#core/clock.ts'
import { DomainError, type Problem } from '#core/errors.ts'
import { describeFlags, type FlagTable, type GivenFlags, readFlags } from '#core/process/flags.ts'
import { findClusterAccess } from '../../kubernetes/cluster-access.ts'
import type { Command } from '../command.ts'
import { checkInstallation, type CheckedInstallation } from './installation.ts'
import { Objects } from './objects.ts'

const flags: FlagTable = {
  valued: {
    namespace: [
      'NAME',
      'Where the throw-away objects are made: a namespace that the operator handles. Required.',
    ],
    name: ['NAME', 'Name of the objects. Default: cloudsignal-check.'],
    mqtts: ['HOST:PORT', 'The broker, MQTT over TLS. Required.'],
    wss: ['HOST:PORT', 'The broker, MQTT over secure WebSocket. Required.'],
    'server-name': ['NAME', 'The name that its certificate has to have. Default: that of --mqtts.'],
    ca: [
      'FILE',
      'Certificates (PEM) to trust beside those of the system; may come several times, and be missing.',
    ],
    tokens: ['URL', 'The token service. Required.'],
    timeout: ['SECONDS', 'How long a step may take. Default: 60.'],
  },
  switches: { help: 'This text.' },
}

export const check: Command = {
  name: 'check',
  summary:
    'Uses an installation in a cluster once, from a resource to a message, and says what does not work.',
  async run(args, environment, print) {
    const given = readFlags(args, flags, (word) => ({ field: word, remedy: 'remove it (--help lists all)' }))
    if (given.switches.has('help')) {
      print(help())
      return 0
    }
    const { namespace, ...installation } = await readInstallation(given)
    const stopwatch = { monotonic: () => performance.now() }
    const access = await findClusterAccess({ environment, time: stopwatch })
    const objects = new Objects(access, namespace, installation.timeoutMs)
    try {
      return (await checkInstallation(installation, objects, systemClock, print)) ? 0 : 1
    } finally {
      objects.close()
    }
  },
}

async function readInstallation(
  given: GivenFlags,
): Promise<CheckedInstallation & { readonly namespace: string }> {
  const problems: Problem[] = [...given.problems]
  const value = (name: string): string | undefined => given.values.get(name)?.at(-1)
  const required = (name: string, isRight: (text: string) => boolean): string => {
    const text = value(name) ?? ''
    if (!isRight(text)) problems.push({ field: `--${name}`, remedy: `give ${flags.valued[name]?.[0]}` })
    return text
  }
  const isAddress = (text: string): boolean => /^[^:/]+:\d{1,5}$/.test(text)
  const mqtts = required('mqtts', isAddress)
  const installation = {
    namespace: required('namespace', (text) => text !== ''),
    name: value('name') ?? 'cloudsignal-check',
    mqtts,
    wss: required('wss', isAddress),
    serverName: value('server-name') ?? mqtts.replace(/:.*/, ''),
    tokens: required('tokens', (text) => /^https?:/.test(text) && URL.canParse(text)),
    timeoutMs: Number(value('timeout') ?? 60) * 1_000,
  }
  if (!(installation.timeoutMs > 0)) problems.push({ field: '--timeout', remedy: 'give a number of seconds' })
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'the command line can not be used', { problems })
  }
  return { ...installation, trusted: await trustedCertificates(given.values.get('ca') ?? []) }
}

async function trustedCertificates(files: readonly string[]): Promise<readonly string[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
  const given = texts.flatMap(
    (text) => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [],
  )
  return [...rootCertificates, ...given.filter(isCertificate)]
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== ''
  } catch {
    return false
  }
}

function help(): string {
  return [
    'node cli/main.ts check --namespace NAME --mqtts HOST:PORT --wss HOST:PORT --tokens URL',
    '',
    check.summary,
    '',
    ...describeFlags(flags, 26),
    '',
    'It makes an Organization, an AccessList, an MqttUser, an IdentityProvider and an ApiKey, and removes them again.',
    'In a pod it uses the mounted service account, otherwise what kubectl would take.',
    '',
    'Exit code: 0 when all of it works, 1 when it does not, 2 when that can not be said.',
  ].join('\n')
}
