import type { Fault } from '../fault.ts'

export const replicaKill: Fault = {
  name: 'replica-kill',
  summary: 'a replica is killed (kill -9), and another one started, again and again',
  mostGapMs: () => 2_000,
  async run(stage, traffic, { times }) {
    for (let time = 0; time < times; time += 1) {
      const [replica] = stage.replicas
      if (replica === undefined) throw new Error('no replica is left')
      stage.remove(replica)
      await replica.program.kill()
      await stage.add()
      await traffic.flows()
    }
  },
}
