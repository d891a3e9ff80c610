/**
 * Which process runs where: a broker has a core of its own, so has a second replica; Redis and the generator have
 * what is left. On two cores and with two replicas nothing is left: both share all.
 */
export interface Cores {
  readonly all: readonly number[]
  readonly first: readonly number[]
  readonly second: readonly number[]
  /** For Redis and the generator beside one broker. */
  readonly besideOne: readonly number[]
  /** For them beside two. */
  readonly besideTwo: readonly number[]
  /** The command that runs `command` there. */
  pinned(cores: readonly number[], command: readonly string[]): readonly string[]
  readonly description: string
}

/** `status` is the text of /proc/self/status. */
export function coresOf(status: string): Cores {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0'
  const all = list.split(',').flatMap(range)
  const [first = 0, second = 0, ...others] = all
  const isOne = all.length < 2
  return {
    all,
    first: [first],
    second: isOne ? [first] : [second],
    besideOne: isOne ? all : [second, ...others],
    besideTwo: others.length > 0 ? others : all,
    pinned: (cores, command) => (isOne ? command : ['taskset', '-c', cores.join(','), ...command]),
    description: isOne
      ? 'one core: broker, Redis and generator share it, ratios mean little'
      : `${all.length} cores: broker on ${first}, second replica on ${second}, Redis and generator on the rest`,
  }
}

function range(text: string): number[] {
  const [from = 0, to = from] = text.split('-').map(Number)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
