import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'

/** What a pattern of docs/access-lists.md shows, and what it says follows from it. */
export interface Pattern {
  readonly title: string
  readonly manifests: readonly unknown[]
  /** Bodies of requests to the token service, by whom they are for. */
  readonly requests: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  readonly statements: readonly Statement[]
}

/** `sensor_01 may not publish to devices/x at QoS 2 (rules[0] of devices)` */
export interface Statement {
  readonly text: string
  readonly who: string
  /** Claims of the identity token, where it says so: `alice (room 42)`. */
  readonly claims: Readonly<Record<string, string>>
  readonly action: 'publish' | 'subscribe' | 'receive'
  readonly topic: string
  /** Of `receive`: the filter that is subscribed to. */
  readonly filter?: string
  readonly isAllowed: boolean
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly rule?: { readonly list: string; readonly index: number }
}

export interface Guide {
  /** What every pattern belongs to. */
  readonly base: readonly unknown[]
  readonly patterns: readonly Pattern[]
  /** Commands with what they print. */
  readonly commands: readonly { readonly line: string; readonly output: string }[]
}

export function readGuide(path: string): Guide {
  const text = readFileSync(path, 'utf8')
  const [head = '', ...sections] = text.split(/^### /m)
  return {
    base: yamlOf(head),
    patterns: sections.map((section) => ({
      title: section.slice(0, section.indexOf('\n')),
      manifests: yamlOf(section),
      requests: new Map(blocksOf(section, 'json').map(({ name, body }) => [name, JSON.parse(body)])),
      statements: blocksOf(section, 'verdicts').flatMap(({ body }) =>
        body.trim().split('\n').map(statementOf),
      ),
    })),
    commands: [...text.matchAll(/^\$ npm run -s explain -- (.*)\n([^`]*)^```/gm)].map(
      ([, line = '', output = '']) => ({
        line,
        output,
      }),
    ),
  }
}

function yamlOf(section: string): unknown[] {
  return blocksOf(section, 'yaml').flatMap(({ body }) =>
    parseAllDocuments(body).map((document) => document.toJS() as unknown),
  )
}

function blocksOf(section: string, language: string): { readonly name: string; readonly body: string }[] {
  const blocks = section.matchAll(/^```(\S+) ?(.*)\n([^]*?)^```$/gm)
  return [...blocks]
    .filter(([, found]) => found === language)
    .map(([, , name = '', body = '']) => ({ name, body }))
}

const may =
  /^(.+?) may (not )?(publish|subscribe) to (\S+)( at QoS [012])?( retained)?(?: \(rules\[(\d+)\] of (\S+)\))?$/
const gets = /^(.+?) subscribed to (\S+) (gets|does not get) (\S+)$/

function statementOf(text: string): Statement {
  const received = gets.exec(text)
  if (received !== null) {
    const [, who = '', filter = '', verb, topic = ''] = received
    return {
      text,
      ...personOf(who),
      action: 'receive',
      filter,
      topic,
      isAllowed: verb === 'gets',
      qos: 1,
      retain: false,
    }
  }
  const found = may.exec(text)
  if (found === null) throw new Error(`the guide says what no test understands: ${text}`)
  const [, who = '', not, action, topic = '', qos = ' at QoS 1', retained, index, list] = found
  return {
    text,
    ...personOf(who),
    action: action as 'publish' | 'subscribe',
    topic,
    isAllowed: not === undefined,
    qos: Number(qos.at(-1)) as Statement['qos'],
    retain: retained !== undefined,
    ...(list === undefined ? {} : { rule: { list, index: Number(index) } }),
  }
}

function personOf(text: string): Pick<Statement, 'who' | 'claims'> {
  const [, who = text, name, value = ''] = /^(\S+) \((\S+) (\S+)\)$/.exec(text) ?? []
  return { who, claims: name === undefined ? {} : { [name]: value } }
}
