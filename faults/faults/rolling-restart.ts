import type { Fault } from '../fault.ts'

export const rollingRestart: Fault = {
  name: 'rolling-restart',
  summary: 'every replica is replaced: another one started, then it is told to go (SIGTERM)',
  mostGapMs: () => 2_000,
  async run(stage, traffic) {
    const former = stage.replicas.slice()
    for (const replica of former) {
      await stage.add()
      stage.remove(replica)
      const code = await replica.program.terminate()
      if (code !== 0) throw new Error(`a replica ended with ${code}`)
      await traffic.flows()
    }
  },
}
