import { DomainError, type Problem } from '#core/errors.ts'
import { describeFlags, type FlagTable, type GivenFlags, readFlags } from '#core/process/flags.ts'
import { describeSettings } from '#core/process/settings.ts'
import type { Command } from './command.ts'
import { connectionSettings, post, readConnection } from './connection.ts'

const flags: FlagTable = {
  valued: {
    user: ['NAME', 'A permanent user, with or without @org_….'],
    credential: ['ID', 'A temporary credential, tmp_….'],
    list: ['NAME', 'An AccessList, for somebody who does not exist yet; may come several times.'],
    attribute: ['NAME=VALUE', 'What a variable stands for, such as user_id=alice; may come several times.'],
    publish: ['TOPIC', 'May it publish to this?'],
    subscribe: ['FILTER', 'May it subscribe to this?'],
    qos: ['0|1|2', 'QoS of it. Default: 0.'],
    'client-id': ['ID', 'The MQTT client id, where rules ask for it.'],
  },
  switches: {
    retain: 'The publish is retained.',
    json: 'Prints the whole answer.',
    help: 'This text.',
  },
}

/** What of the answer is printed; docs/openapi.json describes all of it. */
interface Answer {
  readonly allowed: boolean
  readonly summary: string
  readonly cannot_connect?: 'suspended' | 'client-id'
  readonly nearest: readonly { readonly why: string }[]
  readonly attributes: Readonly<Record<string, string>>
}

export const explain: Command = {
  name: 'explain',
  summary: 'Whether somebody may publish or subscribe, by which rule, and why not.',
  async run(args, environment, print) {
    const given = readFlags(args, flags, (word) => ({ field: word, remedy: 'remove it (--help lists all)' }))
    if (given.switches.has('help')) {
      print(help())
      return 0
    }
    const question = questionOf(given)
    const connection = readConnection(environment)
    const answer = await post<Answer>(connection, '/v1/access/explain', question)
    print(given.switches.has('json') ? JSON.stringify(answer, undefined, 2) : textOf(answer))
    return answer.allowed && answer.cannot_connect === undefined ? 0 : 1
  },
}

function questionOf(given: GivenFlags): object {
  const { switches } = given
  const value = (name: string): string | undefined => given.values.get(name)?.at(-1)
  const problems: Problem[] = [...given.problems]
  const isIdentity = given.values.has('list') || given.values.has('attribute')
  const whos = [value('user'), value('credential'), isIdentity ? '' : undefined].filter(
    (who) => who !== undefined,
  )
  if (whos.length !== 1) {
    problems.push({ field: '--user', remedy: 'give one of --user, --credential, or --list with --attribute' })
  }
  const [publish, subscribe] = [value('publish'), value('subscribe')]
  if ((publish === undefined) === (subscribe === undefined)) {
    problems.push({ field: '--publish', remedy: 'give either --publish or --subscribe' })
  }
  if (subscribe !== undefined && switches.has('retain')) {
    problems.push({ field: '--retain', remedy: 'remove it, or give --publish' })
  }
  const qos = value('qos') ?? '0'
  if (!/^[012]$/.test(qos)) problems.push({ field: '--qos', value: qos, remedy: 'give 0, 1 or 2' })
  const attributes = attributesOf(given.values.get('attribute') ?? [], problems)
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'the command line can not be used', { problems })
  }
  const clientId = value('client-id')
  return {
    ...whoOf(given, attributes),
    ...(publish === undefined
      ? { action: 'subscribe', topic: subscribe }
      : { action: 'publish', topic: publish }),
    qos: Number(qos),
    ...(switches.has('retain') ? { retain: true } : {}),
    ...(clientId === undefined ? {} : { client_id: clientId }),
  }
}

function whoOf({ values }: GivenFlags, attributes: Readonly<Record<string, string>>): object {
  const [user, credential] = [values.get('user')?.at(-1), values.get('credential')?.at(-1)]
  if (user !== undefined) return { kind: 'user', user }
  if (credential !== undefined) return { kind: 'credential', credential }
  return { kind: 'identity', access_lists: values.get('list') ?? [], attributes }
}

function attributesOf(given: readonly string[], problems: Problem[]): Readonly<Record<string, string>> {
  const entries = given.map((text) => {
    const equals = text.indexOf('=')
    if (equals < 1) problems.push({ field: '--attribute', value: text, remedy: 'give NAME=VALUE' })
    return [text.slice(0, equals), text.slice(equals + 1)] as const
  })
  return Object.fromEntries(entries)
}

function textOf({ summary, cannot_connect: refusal, nearest, attributes }: Answer): string {
  return [
    summary,
    ...(refusal === undefined ? [] : [refusals[refusal]]),
    ...(nearest.length === 0 ? [] : ['', ...nearest.map(({ why }) => `  ${why}`)]),
    '',
    ...Object.entries(attributes).map(([name, value]) => `  {${name}} is ${JSON.stringify(value)}`),
  ].join('\n')
}

const refusals = {
  suspended: 'It can not connect, though: the user is suspended.',
  'client-id': 'It can not connect, though: the credential is for another client id.',
} as const

function help(): string {
  return [
    'node cli/main.ts explain --user NAME --publish TOPIC',
    '',
    explain.summary,
    '',
    ...describeFlags(flags, 26),
    '',
    'Exit code: 0 when it may, 1 when it may not, 2 when that can not be said.',
    '',
    'From the environment:',
    '',
    describeSettings(connectionSettings),
  ].join('\n')
}
