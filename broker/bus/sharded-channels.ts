import type { Redis } from 'ioredis'
import type { StrictCluster } from '#core/redis/strict-cluster.ts'
import { fromRedis, untilReady } from '#core/stores/redis-connection.ts'
import type { Channels, ChannelsListener } from './channels.ts'

/** Not so many at once that other commands time out behind them. */
const channelsAtOnce = 500
/** Connecting to a master that is there takes less. */
const connectedWithinMs = 1_000

/**
 * Sharded pub/sub: a channel lies with the master of its slot, and each of those has a connection of its own.
 * ioredis has that too, but there one node that hangs holds up the connections to all others, and channels are
 * subscribed anew everywhere for as long as one node is away.
 */
export class ShardedChannels implements Channels {
  readonly #publisher: Pick<StrictCluster, 'spublish'>
  readonly #cluster: StrictCluster
  readonly #listener: ChannelsListener
  /** By address. */
  readonly #nodes = new Map<string, Redis>()
  /** Where each channel was subscribed. */
  readonly #places = new Map<string, string>()

  constructor(
    publisher: Pick<StrictCluster, 'spublish'>,
    cluster: StrictCluster,
    listener: ChannelsListener,
  ) {
    this.#publisher = publisher
    this.#cluster = cluster
    this.#listener = listener
    cluster.on('refresh', () => this.#follow())
    cluster.once('end', () => this.#close(() => true))
  }

  async publish(channel: string, bytes: Buffer): Promise<undefined> {
    // It is answered with how many there are at the node that answers, not in its whole shard.
    try {
      await fromRedis(() => this.#publisher.spublish(channel, bytes))
    } catch (error) {
      // The channel may have moved to another node: of that a subscriber hears least.
      this.#cluster.lookAgain()
      throw error
    }
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    for (let at = 0; at < channels.length; at += channelsAtOnce) {
      const some = channels.slice(at, at + channelsAtOnce)
      await fromRedis(() => Promise.all(some.map((channel) => this.#subscribe(channel))))
    }
  }

  unsubscribe(channel: string): void {
    const address = this.#places.get(channel)
    this.#places.delete(channel)
    if (address === undefined) return
    this.#nodes
      .get(address)
      ?.sunsubscribe(channel)
      .catch(() => {})
  }

  /** One by one: only channels of the same slot may stand in one command. */
  async #subscribe(channel: string): Promise<void> {
    const address = this.#cluster.addressOf(channel)
    if (address === undefined) throw new Error('no node is known to have the channel')
    this.#places.set(channel, address)
    const node = this.#nodeAt(address)
    try {
      await untilReady(node, AbortSignal.timeout(connectedWithinMs))
      await subscribed(node, channel)
    } catch (error) {
      this.#cluster.lookAgain()
      throw error
    }
  }

  #nodeAt(address: string): Redis {
    const known = this.#nodes.get(address)
    if (known !== undefined) return known
    const node = this.#cluster.openNode(address)
    this.#nodes.set(address, node)
    node.setMaxListeners(0)
    let isFirst = true
    node.on('smessageBuffer', (channel: Buffer, bytes: Buffer) =>
      this.#listener.received(channel.toString(), bytes),
    )
    node.on('ready', () => {
      if (!isFirst) this.#listener.returned()
      isFirst = false
    })
    // Also of what it does not expect: Redis tells a subscriber that a channel has moved away.
    node.on('error', () => this.#cluster.lookAgain())
    return node
  }

  /** Goes along with channels that have another master now. */
  #follow(): void {
    const masters = new Set(
      this.#cluster.nodes('master').map(({ options }) => `${options.host}:${options.port}`),
    )
    this.#close((address) => !masters.has(address))
    for (const [channel, address] of this.#places) {
      const now = this.#cluster.addressOf(channel)
      if (now === undefined || now === address) continue
      this.#listener.returned()
      return
    }
  }

  #close(isOver: (address: string) => boolean): void {
    for (const [address, node] of this.#nodes) {
      if (!isOver(address)) continue
      this.#nodes.delete(address)
      node.disconnect()
    }
  }
}

/** ioredis tells by an event alone that Redis refused a channel, and not which. */
function subscribed(node: Redis, channel: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const moved = (): void => reject(new Error('the channel has moved'))
    node.once('moved', moved)
    void node
      .ssubscribe(channel)
      .then(() => resolve(), reject)
      .finally(() => node.off('moved', moved))
  })
}
