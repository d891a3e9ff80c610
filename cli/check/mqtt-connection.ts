import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { createWebSocketStream, WebSocket } from 'ws'

export interface MqttPlace {
  readonly kind: 'mqtts' | 'wss'
  /** host:port */
  readonly address: string
  /** The name that the certificate has to have. */
  readonly serverName: string
  readonly trusted: readonly string[]
  readonly timeoutMs: number
}

export interface MqttAccount {
  readonly username: string
  readonly password: string
}

export interface MqttConnection {
  /** Subscribes to the topic, publishes a message to it, and waits for it. */
  hears(topic: string): Promise<void>
  /** Resolves when the broker has ended the connection; rejects when it has not in time. */
  readonly ended: Promise<void>
  close(): void
}

const protocolVersion = 5
// From here on a reason code is a refusal.
const leastRefusal = 0x80

/** Signs in with MQTT 5; rejects with why not. */
export async function connectMqtt(place: MqttPlace, account: MqttAccount): Promise<MqttConnection> {
  const stream = place.kind === 'mqtts' ? openTls(place) : openWebSocket(place)
  const session = new Session(stream, place)
  await session.signIn(account)
  return session
}

function tlsOptions({ serverName, trusted }: MqttPlace) {
  // A certificate that is trusted itself needs no authority.
  return { servername: serverName, ca: [...trusted], allowPartialTrustChain: true }
}

function openTls(place: MqttPlace): Duplex {
  const [host = '', port] = place.address.split(':')
  return connectTls({ host, port: Number(port), ...tlsOptions(place) })
}

function openWebSocket(place: MqttPlace): Duplex {
  return createWebSocketStream(new WebSocket(`wss://${place.address}/`, 'mqtt', tlsOptions(place)))
}

class Session implements MqttConnection {
  readonly #stream: Duplex
  readonly #place: MqttPlace
  readonly #packets: Packet[] = []
  #look = (): void => {}
  #failure: string | undefined

  constructor(stream: Duplex, place: MqttPlace) {
    this.#stream = stream
    this.#place = place
    const parser = mqttPacket.parser({ protocolVersion })
    parser.on('packet', (packet) => this.#packets.push(packet))
    parser.on('error', (error) => this.#fail(`the broker sent what is no MQTT: ${error.message}`))
    stream.on('data', (bytes: Buffer) => {
      parser.parse(bytes)
      this.#look()
    })
    stream.on('error', (error: Error) => this.#fail(error.message))
    stream.on('close', () => this.#fail('the broker closed the connection'))
  }

  async signIn({ username, password }: MqttAccount): Promise<void> {
    this.#send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion,
      clean: true,
      clientId: `check-${randomUUID()}`,
      keepalive: 30,
      username,
      password: Buffer.from(password),
    })
    const answer = await this.#next('connack')
    if (answer.cmd === 'connack' && (answer.reasonCode ?? 0) >= leastRefusal) {
      throw this.#error(`CONNECT was refused with reason code 0x${answer.reasonCode?.toString(16)}`)
    }
  }

  async hears(topic: string): Promise<void> {
    const messageId = 1
    this.#send({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1 }] })
    const subscribed = await this.#next('suback')
    if (subscribed.cmd === 'suback' && Number(subscribed.granted[0]) >= leastRefusal) {
      throw this.#error(`SUBSCRIBE to ${topic} was refused`)
    }
    const payload = randomUUID()
    this.#send({ cmd: 'publish', messageId, topic, payload, qos: 1, dup: false, retain: false })
    const acknowledged = await this.#next('puback')
    if (acknowledged.cmd === 'puback' && (acknowledged.reasonCode ?? 0) >= leastRefusal) {
      throw this.#error(`PUBLISH to ${topic} was refused`)
    }
    await this.#next('publish', (packet) => 'payload' in packet && String(packet.payload) === payload)
  }

  get ended(): Promise<void> {
    return this.#wait(
      () => (this.#failure === undefined ? undefined : true),
      'the connection was not ended',
    ).then(() => {})
  }

  close(): void {
    this.#stream.destroy()
  }

  #send(packet: Packet): void {
    this.#stream.write(mqttPacket.generate(packet, { protocolVersion }))
  }

  #next(cmd: Packet['cmd'], isIt: (packet: Packet) => boolean = () => true): Promise<Packet> {
    const find = (): Packet | undefined => {
      const index = this.#packets.findIndex((packet) => packet.cmd === cmd && isIt(packet))
      if (index >= 0) return this.#packets.splice(index, 1)[0]
      if (this.#failure !== undefined) throw this.#error(this.#failure)
      return undefined
    }
    return this.#wait(find, `no ${cmd.toUpperCase()} came`)
  }

  #wait<T>(find: () => T | undefined, otherwise: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#error(otherwise)), this.#place.timeoutMs)
      this.#look = () => {
        try {
          const found = find()
          if (found === undefined) return
          resolve(found)
        } catch (error) {
          reject(error as Error)
        }
        clearTimeout(timer)
        this.#look = () => {}
      }
      this.#look()
    })
  }

  #fail(why: string): void {
    this.#failure ??= why
    this.#look()
  }

  #error(what: string): Error {
    return new Error(`${this.#place.kind}://${this.#place.address}: ${what}`)
  }
}
