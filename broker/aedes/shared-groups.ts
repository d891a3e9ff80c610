import type { OrganizationEmitter } from '../bus/organization-emitter.ts'
import type { SessionPersistence, Turn } from '../persistence/session-persistence.ts'
import { decodeMessage, encodeMessage } from '../persistence/stored-message.ts'
import { ownSummonsTopic, readSummons, summonsTopic } from '../persistence/summons.ts'
import type { AedesClient } from './aedes-client.ts'
import { ClientMessage, type Message, type RoutedMessage } from './messages.ts'
import type { Deliver } from './organization-aedes.ts'

export interface SharedGroupsOptions {
  readonly replica: string
  readonly emitter: OrganizationEmitter
  readonly persistence: SessionPersistence
  readonly clientOf: (id: string) => AedesClient | undefined
  readonly nextCounter: () => number
}

/**
 * Groups of shared subscriptions (MQTT 5 §4.8.2), from the message to the member: above QoS 0 a copy is in the
 * member's queue, and the member is told to look; QoS 0 is handed to the member's replica.
 */
export class SharedGroups {
  readonly #options: SharedGroupsOptions

  constructor(options: SharedGroupsOptions) {
    this.#options = options
  }

  async hear(subscribe: (filter: string, deliver: Deliver) => Promise<void>): Promise<void> {
    for (const topic of [summonsTopic, ownSummonsTopic]) {
      await subscribe(topic, ({ payload }, done) => {
        this.#summoned(payload)
        done()
      })
    }
    await subscribe(copiesTopic(this.#options.replica), ({ payload }, done) => {
      this.#deliver(payload)
      done()
    })
  }

  /** A message of QoS 0 whose topic these groups match. It may be lost, as any other of QoS 0. */
  share(message: RoutedMessage, groups: readonly string[]): void {
    for (const group of groups) {
      this.#options.persistence
        .turnOf(group)
        .then((turn) => turn && this.#hand(message, group, turn))
        .catch(() => {})
    }
  }

  #hand(message: RoutedMessage, group: string, { id, replica }: Turn): void {
    const { replica: own, emitter, clientOf, nextCounter } = this.#options
    if (replica === own) return clientOf(id)?.deliverShared(message, group)
    const payload = encodeCopy(message, group, id)
    const copy: Message = { topic: copiesTopic(replica), payload, qos: 0, retain: false }
    emitter.tell(new ClientMessage(copy, own, nextCounter(), id))
  }

  #summoned(payload: Buffer): void {
    const summons = readSummons(payload)
    for (const id of summons?.ids ?? []) this.#options.clientOf(id)?.lookForShared(summons?.why ?? 'missed')
  }

  #deliver(payload: Buffer): void {
    const copy = decodeCopy(payload)
    if (copy !== undefined) this.#options.clientOf(copy.id)?.deliverShared(copy.message, copy.group)
  }
}

const copiesTopic = (replica: string): string => `$SYS/${replica}/copies`

/** length of the id:u16 length of the group:u16 id group message */
function encodeCopy(message: RoutedMessage, group: string, id: string): Buffer {
  const [idBytes, groupBytes] = [Buffer.from(id), Buffer.from(group)]
  const lengths = Buffer.alloc(4)
  lengths.writeUInt16BE(idBytes.length, 0)
  lengths.writeUInt16BE(groupBytes.length, 2)
  return Buffer.concat([lengths, idBytes, groupBytes, encodeMessage(message)])
}

function decodeCopy(
  bytes: Buffer,
): { readonly id: string; readonly group: string; readonly message: RoutedMessage } | undefined {
  if (bytes.length < 4) return undefined
  const groupAt = 4 + bytes.readUInt16BE(0)
  const messageAt = groupAt + bytes.readUInt16BE(2)
  const message = messageAt > bytes.length ? undefined : decodeMessage(bytes.subarray(messageAt))
  if (message === undefined) return undefined
  return {
    id: bytes.toString('utf8', 4, groupAt),
    group: bytes.toString('utf8', groupAt, messageAt),
    message,
  }
}
