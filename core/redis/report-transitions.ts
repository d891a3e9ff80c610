import type { Redis } from 'ioredis'
import type { Log } from '#core/process/logger.ts'
import { StrictCluster } from './strict-cluster.ts'

/** Says once that Redis went away and once that it is back, however often it is tried between. */
export function reportTransitions(redis: Redis | StrictCluster, name: string, log: Log): void {
  let isAway = false
  redis.on('error', (error: Error) => {
    // Of a single node: the others are there.
    if (redis instanceof StrictCluster && redis.status === 'ready') return
    if (isAway) return
    isAway = true
    log.warn(
      { connection: name, error: error.message },
      'Redis can not be reached; trying again until it can',
    )
  })
  redis.on('ready', () => {
    if (isAway) log.info({ connection: name }, 'Redis is reached again')
    isAway = false
  })
}

/** The same of each node of a Cluster, and which are the masters when that has changed. */
export function reportNodes(cluster: StrictCluster, name: string, log: Log): void {
  const away = new Set<string>()
  let masters = ''
  cluster.on('+node', (node: Redis) => {
    const address = addressOf(node)
    node.on('error', (error: Error) => {
      if (away.has(address)) return
      away.add(address)
      log.warn(
        { connection: name, node: address, error: error.message },
        'a node of the Redis Cluster can not be reached; trying again until it can',
      )
    })
    node.on('ready', () => {
      if (away.delete(address)) log.info({ connection: name, node: address }, 'the node is reached again')
    })
  })
  cluster.on('refresh', () => {
    const found = cluster.nodes('master').map(addressOf).toSorted()
    const now = found.join(', ')
    if (masters !== '' && now !== masters) {
      log.info({ connection: name, masters: now }, 'the Redis Cluster has other masters')
    }
    masters = now
    for (const address of away) if (!found.includes(address)) away.delete(address)
  })
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`
}
