import { getHeapStatistics, type HeapInfo } from 'node:v8'
import { compileAccess } from '#core/access/access.ts'
import type { AccessRule } from '#core/access/access-rule.ts'

/** What deciding costs a message, by how many rules there are. */
export interface DecisionCost {
  readonly rules: number
  /** Of a publish that is allowed, by what sort of rule allows it. */
  readonly publish_ns: Readonly<Record<Deciding, number>>
  /** Of a delivery that has to be asked for. */
  readonly receive_ns: number
  /** Bytes allocated by each decision; the worst of all the above. */
  readonly bytes: number
}

type Deciding = keyof typeof deciding

/** The rule that allows, and a topic of it. */
const deciding = {
  literal: ['bench/{username}/state', 'bench/bench_1/state'],
  prefix: ['bench/{username}/readings/#', 'bench/bench_1/readings/7/celsius'],
  pattern: ['bench/{username}/+/reply', 'bench/bench_1/7/reply'],
} as const

/** As many rules as are asked for; those beside the one that decides begin as it does. */
export function rulesAround(topic: string, count: number): AccessRule[] {
  const actions: AccessRule['actions'] = ['publish', 'subscribe']
  const others = Array.from({ length: count - 1 }, (_, index): AccessRule => {
    const topics = [
      `bench/{username}/room-${index}/#`,
      `bench/{username}/room-${index}/name`,
      `bench/+/all-${index}`,
    ]
    return { effect: index % 10 === 9 ? 'deny' : 'allow', actions, topics: [topics[index % 3] ?? ''] }
  })
  const middle = count >> 1
  return [...others.slice(0, middle), { effect: 'allow', actions, topics: [topic] }, ...others.slice(middle)]
}

const decisionsPerWindow = 100_000
const windows = 5

export function measureDecisions(rules: number): DecisionCost {
  const costs = Object.entries(deciding).map(([name, [filter, topic]]) => {
    const access = compileAccess([{ list: 'bench', rules: rulesAround(filter, rules) }], {
      username: 'bench_1',
    })
    // As many texts as a client may send: none is compared by its address.
    const topics = Array.from({ length: 64 }, () => Buffer.from(topic).toString())
    const publish = measure((index) => access.publish(topics[index & 63] ?? '', 1, false).allowed)
    const receive = measure((index) => access.receive(topics[index & 63] ?? ''))
    return { name, publish, receive }
  })
  const all = costs.flatMap(({ publish, receive }) => [publish, receive])
  return {
    rules,
    publish_ns: Object.fromEntries(
      costs.map(({ name, publish }) => [name, publish.ns]),
    ) as DecisionCost['publish_ns'],
    receive_ns: Math.max(...costs.map(({ receive }) => receive.ns)),
    bytes: Math.max(...all.map(({ bytes }) => bytes)),
  }
}

/** Time of one decision, the best of several windows, and how many bytes each allocates, the median of them. */
export function measure(decide: (index: number) => boolean): { readonly ns: number; readonly bytes: number } {
  const run = (): { ns: number; bytes: number } => {
    let allowed = 0
    const before = getHeapStatistics()
    const began = process.hrtime.bigint()
    for (let index = 0; index < decisionsPerWindow; index += 1) if (decide(index)) allowed += 1
    const ns = Number(process.hrtime.bigint() - began) / decisionsPerWindow
    const bytes = allocatedBetween(before, getHeapStatistics()) / decisionsPerWindow
    if (allowed !== decisionsPerWindow) throw new Error('a decision that was to allow did not')
    return { ns, bytes }
  }
  // Compiled and settled first.
  for (let window = 0; window < 3; window += 1) run()
  const found = Array.from({ length: windows }, run)
  const bytes = found.map((each) => each.bytes).toSorted((left, right) => left - right)[windows >> 1] ?? 0
  return { ns: Math.round(Math.min(...found.map(({ ns }) => ns))), bytes: Number(bytes.toFixed(1)) }
}

/**
 * What is used is exact until something is collected; what was allocated knows of collections, but counts in
 * buffers. The statistics themselves are 1 to 2 KB.
 */
function allocatedBetween(before: HeapInfo, after: HeapInfo): number {
  const used = after.used_heap_size - before.used_heap_size
  const allocated = after.total_allocated_bytes - before.total_allocated_bytes
  return Math.max(0, used, allocated - buffers)
}

const buffers = 512 * 1024
