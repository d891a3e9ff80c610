import { glob, readFile } from 'node:fs/promises'

/** What variables of the templates of environments stand for. */
const variables: Readonly<Record<string, string>> = {
  '.root.Values': '',
  $operator: 'operator.',
  $broker: 'broker.',
  $service: 'tokenService.',
  $limits: 'tokenService.limits.',
}
/** What is made of values elsewhere. */
const made: Readonly<Record<string, string>> = {
  'cloudsignal.proxyProtocolFrom': 'broker.proxyProtocolFrom',
  'cloudsignal.brokerHost': 'broker.host',
  'cloudsignal.wssUrl': 'broker.ingress.host',
  $mqtts: 'broker.host',
  $proxies: 'tokenService.trustedProxies',
}

/** By setting: the value of the chart that it follows; undefined where the chart decides by itself. */
export async function settingsOfChart(): Promise<ReadonlyMap<string, string | undefined>> {
  const found = new Map<string, string | undefined>()
  const directory = new URL('../charts/cloudsignal/templates/', import.meta.url)
  for await (const file of glob('**/*.tpl', { cwd: directory.pathname })) {
    const text = await readFile(new URL(file, directory), 'utf8')
    for (const [, name = '', value = ''] of text.matchAll(/name: (CLOUDSIGNAL_\w+)(?:, value: (.+) \})?$/gm))
      found.set(name, name.startsWith('CLOUDSIGNAL_REDIS_') ? 'redis' : valueIn(value))
  }
  return found
}

function valueIn(expression: string): string | undefined {
  const [, variable = '', path] = /(\$\w+|\.root\.Values)\.([\w.]+)/.exec(expression) ?? []
  if (path !== undefined && variable in variables) return `${variables[variable]}${path}`
  return Object.entries(made).find(([name]) => expression.includes(name))?.[1]
}
