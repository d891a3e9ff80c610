import type { Announcer } from './known-subscriptions.ts'

/**
 * Members of groups whose queues were put something into: `more` behind what they know, or `missed`, anywhere in it.
 * Told to all replicas of the organization over the emitter. Who does not hear it looks again from time to time.
 */
export interface Summons {
  readonly why: 'more' | 'missed'
  /** Of sessions. */
  readonly ids: readonly string[]
}

export const summonsTopic = '$SYS/sub/summons'
/** For those of this replica. */
export const ownSummonsTopic = '$SYS/summons'

export function summon({ mq }: Announcer, { why, ids }: Summons, topic = summonsTopic): void {
  if (ids.length === 0) return
  const payload = Buffer.from(JSON.stringify({ why, ids: [...new Set(ids)] }))
  mq.emit({ topic, payload, qos: 0, retain: false, brokerId: '', brokerCounter: 0 }, () => {})
}

/** Undefined for what is no summons of ours. */
export function readSummons(payload: Buffer): Summons | undefined {
  try {
    const { why, ids } = JSON.parse(payload.toString()) as Summons
    const isOurs = (why === 'more' || why === 'missed') && Array.isArray(ids)
    return isOurs && ids.every((id) => typeof id === 'string') ? { why, ids } : undefined
  } catch {
    return undefined
  }
}
