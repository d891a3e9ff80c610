import { type Cluster, Redis } from 'ioredis'
import { StrictCluster } from '#core/redis/strict-cluster.ts'
import { fromRedis } from '#core/stores/redis-connection.ts'
import { ShardedChannels } from './sharded-channels.ts'

/**
 * Redis pub/sub as the bus needs it. Every promise rejects with `store-unavailable` while Redis is away.
 * What was published while the subscriber's connection was away is not received.
 */
export interface Channels {
  /** Resolves with how many connections received it; undefined where nobody knows. */
  publish(channel: string, bytes: Buffer): Promise<number | undefined>
  /** Resolves once what is published from now on is received. Again for one that is subscribed does no harm. */
  subscribe(channels: readonly string[]): Promise<void>
  /** Never fails: away, Redis has forgotten the subscription already. */
  unsubscribe(channel: string): void
}

export interface ChannelsListener {
  received(channel: string, bytes: Buffer): void
  /** The subscriber's connection is lost. Told on one Redis only, not on a Cluster. */
  left(): void
  /** The subscriber's connection was lost and is back, with no channel subscribed for certain. */
  returned(): void
}

/** Plain pub/sub on one Redis, sharded on a Cluster: there plain PUBLISH goes to every node. */
export function openChannels(
  publisher: Redis | Cluster,
  subscriber: Redis | Cluster,
  listener: ChannelsListener,
): Channels {
  if (subscriber instanceof Redis) return new PlainChannels(publisher, subscriber, listener)
  if (subscriber instanceof StrictCluster) return new ShardedChannels(publisher, subscriber, listener)
  throw new TypeError('only what connectRedis made can subscribe')
}

/** SUBSCRIBE is answered channel by channel: not so many at once that other commands time out behind them. */
const channelsPerCommand = 500

class PlainChannels implements Channels {
  readonly #publisher: Redis | Cluster
  readonly #subscriber: Redis

  constructor(publisher: Redis | Cluster, subscriber: Redis, listener: ChannelsListener) {
    this.#publisher = publisher
    this.#subscriber = subscriber
    // The bus does it, and knows when it is done; ioredis' own leaves a rejection that nobody handles.
    subscriber.options.autoResubscribe = false
    subscriber.on('messageBuffer', (channel: Buffer, bytes: Buffer) =>
      listener.received(channel.toString(), bytes),
    )
    subscriber.on('close', () => listener.left())
    subscriber.on('ready', () => listener.returned())
  }

  publish(channel: string, bytes: Buffer): Promise<number> {
    return fromRedis(() => this.#publisher.publish(channel, bytes))
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    for (let at = 0; at < channels.length; at += channelsPerCommand) {
      const some = channels.slice(at, at + channelsPerCommand)
      await fromRedis(() => this.#subscriber.subscribe(...some))
    }
  }

  unsubscribe(channel: string): void {
    this.#subscriber.unsubscribe(channel).catch(() => {})
  }
}
