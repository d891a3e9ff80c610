import mqtt, { type MqttClient } from 'mqtt'

export interface DemoClientOptions {
  /** `mqtts://…` or `wss://…` */
  readonly url: string
  readonly ca: string
  readonly username: string
  readonly password: string
  readonly version: 4 | 5
  readonly clientId?: string
}

/** An MQTT.js client that remembers what happens to it, and never comes back by itself. */
export class DemoClient {
  readonly received: { readonly topic: string; readonly text: string }[] = []
  readonly #client: MqttClient
  /** Reason code of the broker's DISCONNECT; MQTT 5 only. */
  #goodbye: number | undefined
  #isClosed = false

  private constructor(client: MqttClient) {
    this.#client = client
    client.on('message', (topic, payload) => this.received.push({ topic, text: payload.toString() }))
    client.on('disconnect', ({ reasonCode }) => {
      this.#goodbye = reasonCode
    })
    client.on('close', () => {
      this.#isClosed = true
    })
    client.on('error', () => {})
  }

  /** Rejects with what the broker, or TLS, said. */
  static async connect({ url, version, ...options }: DemoClientOptions): Promise<DemoClient> {
    const client = mqtt.connect(url, {
      ...options,
      protocolVersion: version,
      reconnectPeriod: 0,
      connectTimeout: 5_000,
    })
    const self = new DemoClient(client)
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.once('error', (error) => {
        client.end(true)
        reject(error)
      })
      client.once('close', () => reject(new Error('the connection was closed')))
    })
    return self
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** How the broker said goodbye, in the words of MQTT 5. */
  get goodbye(): string {
    if (this.#goodbye === undefined) return 'connection closed'
    return goodbyes[this.#goodbye] ?? `reason 0x${this.#goodbye.toString(16)}`
  }

  /** Rejects when the broker refuses the filter. */
  async subscribe(filter: string): Promise<void> {
    const [grant] = await this.#client.subscribeAsync(filter, { qos: 1 })
    if (grant === undefined || grant.qos >= 0x80) throw new Error(`SUBACK 0x${grant?.qos.toString(16)}`)
  }

  /** QoS 1. An MQTT 5 client is told of a refusal, and this rejects. */
  async publish(topic: string, text: string, retain = false): Promise<void> {
    await this.#client.publishAsync(topic, text, { qos: 1, retain })
  }

  hasReceived(text: string): boolean {
    return this.received.some((message) => message.text === text)
  }

  close(): void {
    this.#client.end(true)
  }
}

const goodbyes: Readonly<Record<number, string>> = {
  0x8b: 'DISCONNECT 0x8b server shutting down',
  0x8e: 'DISCONNECT 0x8e session taken over',
  0x98: 'DISCONNECT 0x98 administrative action',
  0xa0: 'DISCONNECT 0xa0 maximum connect time',
}
