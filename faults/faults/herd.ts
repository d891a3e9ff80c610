import { type RoamingClient, startRoamingClient } from '../../test/fixtures/roaming-client.ts'
import { eventually } from '../../test/fixtures/eventually.ts'
import type { Fault } from '../fault.ts'
import { optionsOf } from '../traffic.ts'

const backMs = 10_000
const atOnce = 50

export const herd: Fault = {
  name: 'herd',
  summary: 'many clients lose their replica and come back at one moment, within ten seconds',
  mostGapMs: () => backMs,
  async run(stage, traffic, { clients }) {
    const [doomed] = stage.replicas
    if (doomed === undefined) throw new Error('there is no replica')
    const only = [`mqtts://127.0.0.1:${doomed.mqtts}`]
    let isGone = false
    const all: RoamingClient[] = []
    while (all.length < clients) {
      const some = Array.from({ length: Math.min(atOnce, clients - all.length) }, (_, index) =>
        startRoamingClient(
          () => (isGone ? stage.urls() : only),
          optionsOf(stage, 'bob', `herd-${all.length + index}`),
        ),
      )
      all.push(...some)
      await Promise.all(some.map((client) => client.connected()))
    }
    stage.remove(doomed)
    isGone = true
    await doomed.program.kill()
    await eventually('all are back', () => all.every(({ connects }) => connects > 1), backMs * 6)
    await traffic.flows()
    await Promise.all(all.map((client) => client.end()))
    return Math.max(...all.map(({ longestAwayMs }) => longestAwayMs))
  },
}
