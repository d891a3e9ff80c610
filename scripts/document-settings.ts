/** Writes docs/settings.md from the tables that the programs read their settings by. With --check it only compares. */
import { commonSettings } from '#core/process/common-settings.ts'
import type { Setting } from '#core/process/settings.ts'
import { brokerSettings } from '../broker/settings.ts'
import { connectionSettings } from '../cli/connection.ts'
import { operatorSettings } from '../operator/settings.ts'
import { settings as tokenServiceSettings } from '../token-service/settings.ts'
import { settingsOfChart } from './chart-settings.ts'
import { generateFile } from './generated-file.ts'

type Table = Readonly<Record<string, Setting<unknown>>>

const chart = await settingsOfChart()
const common = new Set(Object.values(commonSettings).map(({ name }) => name))
const ownOf = (table: Table): readonly Setting<unknown>[] =>
  Object.values(table).filter(({ name }) => !common.has(name))

const sections: readonly (readonly [string, readonly Setting<unknown>[]])[] = [
  ['Every program', Object.values(commonSettings)],
  ['Broker', ownOf(brokerSettings)],
  ['Operator', ownOf(operatorSettings)],
  ['Token service', ownOf(tokenServiceSettings)],
  ['Commands', ownOf(connectionSettings)],
]

const text = `# Settings

<!-- Written by npm run generate from the tables in the programs. -->

Environment variables, read once at the start. A variable that begins with \`CLOUDSIGNAL_\` and is none of these, and a value
that can not be used, end the program with all that is wrong. \`node broker/main.ts --help\` says the same of one program.

The chart has a value for nearly all of them, and says why for the others
([values](../charts/cloudsignal/README.md#values)); \`operator.extraEnv\`, \`broker.extraEnv\` and
\`tokenService.extraEnv\` take any. With \`npm start\` there are options instead: \`npm start -- --help\`.

${sections.map(([title, settings]) => `## ${title}\n\n${tableOf(settings)}`).join('\n')}`

await generateFile(new URL('../docs/settings.md', import.meta.url), text)

function tableOf(settings: readonly Setting<unknown>[]): string {
  const rows = settings.map(
    (setting) =>
      `| \`${setting.name}\` | ${cell(`${setting.description}${givenOf(setting)}`)} | ${defaultOf(setting)} | ${chartOf(setting)} |\n`,
  )
  return `| name | what it is | default | with the chart |\n|---|---|---|---|\n${rows.join('')}`
}

function givenOf({ isSecret }: Setting<unknown>): string {
  return isSecret === true ? ' Never shown.' : ''
}

function defaultOf(setting: Setting<unknown>): string {
  if (!('default' in setting)) return 'must be given'
  const value = String(setting.default ?? '')
  return value === '' ? '' : `\`${value}\``
}

function chartOf({ name }: Setting<unknown>): string {
  if (!chart.has(name)) return ''
  const value = chart.get(name)
  return value === undefined ? 'set by it' : `\`${value}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}
