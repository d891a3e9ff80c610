/** Where clients find the broker, as generated Secrets tell them. */
export interface Endpoints {
  readonly host: string
  readonly mqttsPort: number
  readonly wssPort: number
}

/** The keys of a generated Secret: basic auth, and what service bindings look for. */
export function credentialsOf(
  username: string,
  password: string,
  { host, mqttsPort, wssPort }: Endpoints,
): Readonly<Record<string, string>> {
  const inUri = host.includes(':') ? `[${host}]` : host
  return {
    type: 'mqtt',
    username,
    password,
    host,
    port: String(mqttsPort),
    uri: `mqtts://${inUri}:${mqttsPort}`,
    'wss-uri': `wss://${inUri}:${wssPort}/`,
  }
}
