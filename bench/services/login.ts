import mqtt from 'mqtt'

/** What CONNACK says: 0 is accepted; -1 when the connection ended without one. */
export function login(port: number, username: string, password: string): Promise<number> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    username,
    password,
    protocolVersion: 5,
    reconnectPeriod: 0,
    connectTimeout: 5_000,
  })
  return new Promise((resolve) => {
    client.once('connect', ({ reasonCode }) => {
      resolve(reasonCode ?? 0)
      client.end()
    })
    client.on('error', (error) => {
      resolve('code' in error && typeof error.code === 'number' ? error.code : -1)
      client.end(true)
    })
    client.once('close', () => resolve(-1))
  })
}

/** Reason codes of MQTT 5. */
export const accepted = 0
export const serverUnavailable = 136
