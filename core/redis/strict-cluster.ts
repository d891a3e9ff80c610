import { Cluster, type ClusterNode, type ClusterOptions, Command, Redis } from 'ioredis'
import { endWhenSilent, writeOncePerTurn } from './connection-streams.ts'

/** Reading the slots anew costs some milliseconds; while nodes are away it is asked for all the time. */
const lookAgainMs = 500

/** Errors that come of a picture of the Cluster that is not true any more. */
const isOutdated =
  /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|MASTERDOWN|LOADING)\b|connection (is )?closed|timed out/i

/**
 * A client of a Redis Cluster that sends each command once, to the node that has its slot as far as it knows.
 * ioredis sends a command again when its connection has ended or its slot has moved: what was sent later would
 * overtake it, and what was done without an answer would be done twice. Here it fails, as it does on a connection
 * to one Redis, and the slots are read anew.
 *
 * A node that ends is connected again, and the masters are always connected: a command does not wait for that.
 */
export class StrictCluster extends Cluster {
  #looked: NodeJS.Timeout | undefined
  #mustLook = false

  constructor(nodes: readonly ClusterNode[], options: ClusterOptions) {
    super([...nodes], {
      ...options,
      enableOfflineQueue: false,
      slotsRefreshInterval: 5_000,
      // Names stay names: certificates are made out to them.
      dnsLookup: (host, done) => done(null, host),
    })
    this.on('+node', (node: Redis) => {
      node.on('connect', () => writeOncePerTurn(node.stream))
      endWhenSilent(node)
    })
    this.on('-node', () => this.lookAgain())
    for (const event of ['ready', 'refresh']) this.on(event, () => this.#connectMasters())
  }

  /** A node that nobody needed is not connected to say goodbye. */
  override quit(): Promise<'OK'> {
    for (const node of this.nodes()) if (node.status === 'wait') node.disconnect()
    return super.quit()
  }

  override handleError(error: Error, _redirections: unknown, ways: { defaults(): void }): void {
    if (isOutdated.test(error.message)) this.lookAgain()
    ways.defaults()
  }

  /** Reads the slots anew, at once or soon. */
  lookAgain(): void {
    if (this.status !== 'ready') return
    if (this.#looked !== undefined) {
      this.#mustLook = true
      return
    }
    this.#mustLook = false
    this.refreshSlotsCache()
    this.#looked = setTimeout(() => {
      this.#looked = undefined
      if (this.#mustLook) this.lookAgain()
    }, lookAgainMs)
    this.#looked.unref()
  }

  /** Where the master is that has this key, as `host:port`. */
  addressOf(key: string): string | undefined {
    return this.slots[new Command('get', [key]).getSlot() as number]?.[0]
  }

  /** The connection that a command on this key goes to; a new one after the former has ended. */
  nodeOf(key: string): Redis | undefined {
    const address = this.addressOf(key)
    return address === undefined
      ? undefined
      : (this['connectionPool'].getInstanceByKey(address) as Redis | undefined)
  }

  /** One more connection to a node, which stays with it and connects again by itself. */
  openNode(address: string): Redis {
    const [, host = '', port] = /^(.*):(\d+)$/.exec(address) ?? []
    const node = new Redis({
      ...this.options.redisOptions,
      host,
      port: Number(port),
      enableOfflineQueue: false,
      autoResubscribe: false,
      retryStrategy: this.options.clusterRetryStrategy,
    })
    node.on('connect', () => writeOncePerTurn(node.stream))
    endWhenSilent(node)
    return node
  }

  /** Resolves once each master is connected, or was found to be away. */
  async untilConnected(): Promise<void> {
    this.#connectMasters()
    await Promise.all(this.nodes('master').map(settled))
  }

  #connectMasters(): void {
    // Before, ioredis asks one of them how the Cluster is, and must not meet it half connected.
    if (this.status !== 'ready') return
    const masters = this.nodes('master')
    for (const node of masters) if (node.status === 'wait') node.connect().catch(() => {})
    // One that is away may have a successor at any moment.
    if (masters.some(({ status }) => status !== 'ready')) this.lookAgain()
  }
}

function settled(node: Redis): Promise<void> {
  if (node.status === 'ready' || node.status === 'end') return Promise.resolve()
  return new Promise((resolve) => {
    node.once('ready', resolve)
    node.once('end', resolve)
  })
}
