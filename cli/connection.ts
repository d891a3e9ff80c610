import { readSettings, type Setting, type SettingsOf, text, url } from '#core/process/settings.ts'

/** How every command reaches the token service. */
export const connectionSettings = {
  url: {
    name: 'CLOUDSIGNAL_CLI_URL',
    description: 'Where the token service is.',
    parse: url('https:', 'http:'),
    default: 'http://127.0.0.1:8080',
  } satisfies Setting<string>,
  apiKey: {
    name: 'CLOUDSIGNAL_CLI_API_KEY',
    description:
      'A secret API key of the organization. From the environment alone: a command line is seen by others.',
    parse: text,
    isSecret: true,
  } satisfies Setting<string>,
} as const

type Connection = SettingsOf<typeof connectionSettings>

/** Settings of the programs may stand beside ours. */
export function readConnection(environment: Readonly<Record<string, string | undefined>>): Connection {
  const ours = Object.entries(environment).filter(([name]) => name.startsWith('CLOUDSIGNAL_CLI_'))
  return readSettings(connectionSettings, Object.fromEntries(ours))
}

interface Problem {
  readonly title?: unknown
  readonly detail?: unknown
  readonly errors?: readonly { readonly field: string; readonly value?: unknown; readonly remedy: string }[]
}

/** What the service answers to a POST; rejects with what it says where it refuses. */
export async function post<Answer>({ url, apiKey }: Connection, path: string, body: object): Promise<Answer> {
  const response = await fetch(new URL(path, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(10_000),
  }).catch((error: Error) => {
    const cause = error.cause instanceof Error ? error.cause.message : error.message
    throw new Error(`${new URL(url).host} does not answer: ${cause}`)
  })
  const answer = (await response.json().catch(() => ({}))) as Answer & Problem
  if (response.ok) return answer
  const { title = `${new URL(url).host} answered ${response.status}`, detail, errors = [] } = answer
  const fields = errors.map(({ field, remedy }) => `  ${field}: ${remedy}`)
  throw new Error([`${title}${detail === undefined ? '' : `: ${detail}`}`, ...fields].join('\n'))
}
