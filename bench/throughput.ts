import type { Target } from './brokers/target.ts'
import { compare, withRatioPerCpu } from './compare.ts'
import { generate } from './generator.ts'
import type { BothSides, Figures } from './scenario.ts'
import type { Workbench } from './workbench.ts'

/** What the generator's mode `tput` takes; see mload.c. */
export interface ThroughputLoad {
  readonly npub: number
  readonly nsub: number
  readonly qos: 0 | 1
  readonly size: number
  /** How many subscribers get each message. */
  readonly fan?: number
  /** Subscribers are one group, and each message goes to one of them. */
  readonly isShared?: true
  /** 0: subscribers with a persistent session. */
  readonly sclean?: 0
}

/** Ten publishers with a subscriber each. */
export const oneToOne = { npub: 10, nsub: 10, size: 256 }
/** One publisher, a hundred subscribers. */
export const oneToHundred = { npub: 1, nsub: 100, size: 256, fan: 100 }

/** Messages delivered per second while publishers send as fast as they are let. */
export async function compareThroughput(
  bench: Workbench,
  sides: BothSides<Target>,
  { isShared, ...load }: ThroughputLoad,
): Promise<Figures> {
  const { seconds } = bench.options
  const ciphers = new Set<string>()
  const figures = await compare(bench, sides, async (target, round) => {
    // Topics of its own, so that a persistent session of an earlier round gets nothing of this one.
    const isOne = load.fan !== undefined || isShared === true
    const topic = `bench/${round}/${isOne ? 'all' : '%d'}`
    // Node's compiler has its say in the first seconds.
    const times = { dur: seconds, warm: seconds > 1 ? 2 : 1 }
    const { printed, cipher, cpu } = await generate(bench, target, 'tput', {
      ...load,
      ...times,
      pt: topic,
      sf: isShared === true ? `$share/group/${topic}` : topic,
    })
    if (cipher !== '') ciphers.add(cipher)
    return {
      value: printed['recv_s'] ?? 0,
      cpu,
      delivered: printed['recvd'] ?? 0,
      lost: Math.max(0, printed['lost'] ?? 0),
    }
  })
  return { ...withRatioPerCpu(figures), ...(ciphers.size === 0 ? {} : { note: [...ciphers].join(' and ') }) }
}
