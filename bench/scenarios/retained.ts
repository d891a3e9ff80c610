import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Target } from '../brokers/target.ts'
import { compare, type Measurement } from '../compare.ts'
import { finish, generate, startGenerator } from '../generator.ts'
import type { Figures, Scenario } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'

const topics = 100_000
const hits = 10

/** What surrounds the hits: each topic below a level of its own. */
const others = ['bench/r/%d/x/1/k', 'bench/r/%d/y/1/z'] as const

/** Each finds `hits` of its own topics among all the others. */
const shapes = [
  { name: 'pruned', filter: 'bench/a/+/b', topic: 'bench/a/%d/b' },
  { name: 'siblings', filter: 'bench/r/+/b', topic: 'bench/r/%d/b' },
  { name: 'suffix', filter: 'bench/+/+/s', topic: 'bench/r/%d/s' },
  { name: 'below', filter: 'bench/r/+/t/#', topic: 'bench/r/%d/t/u' },
  // Half of the topics have the one, half of them the other.
  { name: 'both', filter: 'bench/+/+/x/+/z', topic: 'bench/r/%d/x/1/z' },
] as const

export const retained: Scenario = {
  name: 'retained',
  summary: `SUBSCRIBE with wildcards over ${topics} retained messages until its ${hits} are there: the median of the worst of ${shapes.length} filters`,
  unit: 'ms',
  against: 'mosquitto',
  goal: { figure: 'ratio', atMost: 5 },
  async run(bench) {
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench, { noDelay: true }) }
    for (const [side, target] of Object.entries(sides)) {
      bench.options.say(`  storing ${topics} retained messages at ${side}`)
      for (const topic of others) await store(bench, target, topic, topics / others.length)
      for (const { topic } of shapes) await store(bench, target, topic, hits)
    }
    const found: { readonly name: string; readonly figures: Figures }[] = []
    for (const { name, filter } of shapes) {
      bench.options.say(`  ${name}: ${filter}`)
      const figures = await compare(bench, sides, (target, round) =>
        subscribeAgain(bench, target, filter, round),
      )
      found.push({ name, figures })
    }
    const [worst] = found.toSorted((left, right) => (right.figures.ratio ?? 0) - (left.figures.ratio ?? 0))
    const note = found.map(
      ({ name, figures }) => `${name} ${figures.ours} ms / ${figures.peer} ms = ${figures.ratio}x`,
    )
    return { ...worst?.figures, note: note.join(', ') }
  },
}

async function store(bench: Workbench, target: Target, pt: string, n: number): Promise<void> {
  await finish(await startGenerator(bench, target, 'retpub', { pt, n, size: 64 }))
}

async function subscribeAgain(
  bench: Workbench,
  target: Target,
  filter: string,
  round: number,
): Promise<Measurement> {
  const dur = Math.max(1, Math.round(bench.options.seconds / 2))
  const options = { sf: filter, sqos: 0, hits, dur, warm: round === 1 ? 1 : 0 }
  const { printed, cpu } = await generate(bench, target, 'retloop', options)
  return {
    value: (printed['p50us'] ?? 0) / 1000,
    cpu,
    delivered: printed['recvd'] ?? 0,
    p99_ms: (printed['p99us'] ?? 0) / 1000,
  }
}
