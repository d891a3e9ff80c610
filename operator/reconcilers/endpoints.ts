/** Where clients find the broker, as generated Secrets tell them. */
export interface Endpoints {
  readonly host: string
  readonly mqttsPort: number
  readonly wssPort: number
  /** Where WebSocket clients find it instead, such as behind an Ingress. */
  readonly wssUrl?: string
}

/** The keys of a generated Secret: basic auth, and what service bindings look for. */
export function credentialsOf(
  username: string,
  password: string,
  { host, mqttsPort, wssPort, wssUrl }: Endpoints,
): Readonly<Record<string, string>> {
  const inUri = host.includes(':') ? `[${host}]` : host
  return {
    type: 'mqtt',
    username,
    password,
    host,
    port: String(mqttsPort),
    uri: `mqtts://${inUri}:${mqttsPort}`,
    'wss-uri': wssUrl || `wss://${inUri}:${wssPort}/`,
  }
}
