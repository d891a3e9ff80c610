import { relative } from 'node:path'
import { demoClients, demoGrant } from './demo-issuer.ts'
import {
  sampleConversation,
  sampleExchange,
  type SampleExchange,
  sampleKeys,
  sampleUsers,
  type SampleUser,
} from './samples.ts'
import type { Standalone } from './standalone.ts'

export interface AnnouncementOptions {
  /** Address that the listeners are reached at. */
  readonly host: string
  readonly manifests: string
  /** `http://127.0.0.1:8087`, when the demo issuer runs. */
  readonly issuer?: string
}

/** What a person needs to begin: where everything is, who may sign in, and lines to paste that work. */
export async function announcement(standalone: Standalone, options: AnnouncementOptions): Promise<string> {
  const users = await sampleUsers(standalone.host)
  const keys = await sampleKeys(standalone.host)
  return [
    '',
    'CloudSignal is up. Ctrl-C ends it.',
    '',
    ...endpointLines(standalone, options),
    '',
    'Permanent users',
    ...(users.length === 0 ? ['  none yet'] : users.map((user) => `  ${userLine(user)}`)),
    '',
    'API keys',
    ...(keys.length === 0
      ? ['  none yet']
      : keys.map(({ resource, secret }) => `  ${nameOf(resource)}  ${secret}`)),
    '',
    ...(await linesToPaste(standalone, options, users)),
  ].join('\n')
}

export function userLine({ resource, username, password }: SampleUser): string {
  return `${nameOf(resource)}  ${username}  ${password ?? '(with the password you know)'}`
}

function endpointLines({ ports, certificates }: Standalone, options: AnnouncementOptions): readonly string[] {
  const { host, issuer } = options
  const rows: (readonly [string, string])[] = [
    ['MQTT over TLS', `mqtts://${host}:${ports.mqtts}`],
    ['MQTT over WebSocket', `wss://${host}:${ports.wss}/`],
    ['Token service', `http://${host}:${ports.http}`],
    ['Health, metrics', `http://${host}:${ports.probes}/readyz and /metrics`],
    ['CA certificate', shortPath(certificates.caPath)],
    ['Manifests', `${shortPath(options.manifests)} (watched: change one and save)`],
  ]
  if (issuer !== undefined) {
    rows.push(['Demo issuer', `${issuer} (for trying out: it gives a token to everybody who asks)`])
  }
  return rows.map(([name, value]) => `  ${name.padEnd(20)} ${value}`)
}

async function linesToPaste(
  standalone: Standalone,
  options: AnnouncementOptions,
  users: readonly SampleUser[],
): Promise<readonly string[]> {
  const conversation = sampleConversation(standalone.host, users)
  const exchange =
    options.issuer === undefined ? undefined : await sampleExchange(standalone.host, options.issuer, 'alice')
  const lines: string[] = []
  if (conversation !== undefined) {
    const { listener, speaker, filter, topic } = conversation
    lines.push(
      '# Listen with mosquitto (Debian: apt-get install mosquitto-clients)',
      mosquitto('sub', standalone, options, listener, `-v -t ${quoted(filter)}`),
      '',
      '# Publish to it, in another terminal',
      mosquitto('pub', standalone, options, speaker, `-q 1 -t ${quoted(topic)} -m hello`),
      '',
      '# The same with MQTT.js over WebSocket: listens, publishes, prints',
      mqttJs(standalone, options, listener, filter),
      '',
    )
  }
  if (exchange !== undefined && options.issuer !== undefined) {
    lines.push(...exchangeLines(standalone, options, options.issuer, exchange))
  }
  return lines.length === 0 ? [] : ['Lines to paste, from this directory', '', ...lines]
}

function mosquitto(
  what: 'sub' | 'pub',
  { ports, certificates }: Standalone,
  { host }: AnnouncementOptions,
  { username, password = '' }: SampleUser,
  rest: string,
): string {
  const ca = quoted(shortPath(certificates.caPath))
  return `mosquitto_${what} --cafile ${ca} -h ${host} -p ${ports.mqtts} -u ${username} -P ${password} ${rest}`
}

function mqttJs(
  { ports, certificates }: Standalone,
  { host }: AnnouncementOptions,
  { username, password = '' }: SampleUser,
  filter: string,
): string {
  const topic = filter.replace(/#$/, 'from-mqtt-js').replaceAll('+', 'x')
  const options = `{ca:require("fs").readFileSync(${JSON.stringify(shortPath(certificates.caPath))}),username:"${username}",password:"${password}"}`
  const script = [
    `const c=require("mqtt").connect("wss://${host}:${ports.wss}/",${options})`,
    'c.on("message",(t,m)=>{console.log(t,String(m));c.end()})',
    `c.on("connect",()=>c.subscribe(${JSON.stringify(filter)},()=>c.publish(${JSON.stringify(topic)},"hello")))`,
    'c.on("error",e=>{console.error(e.message);c.end()})',
  ].join(';')
  return `node -e '${script}'`
}

function exchangeLines(
  { ports, certificates }: Standalone,
  { host }: AnnouncementOptions,
  issuer: string,
  { provider, apiKey, person, filter }: SampleExchange,
): readonly string[] {
  const field = (name: string): string => `node -pe 'JSON.parse(require("fs").readFileSync(0)).${name}'`
  const ca = quoted(shortPath(certificates.caPath))
  return [
    `# Sign in as ${person} (any name will do): an identity token from the demo issuer ...`,
    `TOKEN=$(curl -s ${issuer}/token -d grant_type=${demoGrant} -d client_id=${demoClients.RS256} -d username=${person} | ${field('id_token')})`,
    '',
    '# ... exchanged for MQTT credentials, as your backend would do it ...',
    `CREDENTIAL=$(curl -s http://${host}:${ports.http}/v1/token/exchange -H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json' -d "{\\"provider\\":\\"${provider}\\",\\"token\\":\\"$TOKEN\\"}"); echo "$CREDENTIAL"`,
    '',
    '# ... and used',
    `mosquitto_sub --cafile ${ca} -h ${host} -p ${ports.mqtts} -u "$(echo "$CREDENTIAL" | ${field('username')})" -P "$(echo "$CREDENTIAL" | ${field('password')})" -v -t ${quoted(filter ?? '#')}`,
    '',
  ]
}

const nameOf = ({
  metadata,
}: {
  readonly metadata: { readonly namespace: string; readonly name: string }
}): string => `${metadata.namespace}/${metadata.name}`.padEnd(20)

/** For a shell, and safe inside the double quotes of none. */
const quoted = (text: string): string =>
  /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

function shortPath(path: string): string {
  const near = relative(process.cwd(), path)
  return near === '' ? '.' : near.startsWith('..') ? path : near
}
