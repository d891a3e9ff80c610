/**
 * Wherever in its work the operator is killed, the next one ends where an undisturbed one would have: after each call to
 * the API server and each write to Redis, in this process. The same with processes and SIGKILL, after each call to the
 * API server: test/end-to-end/operator-killed.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KillScenario, killScenarios } from '../fixtures/kill-scenarios.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { startWorldServer, type WorldServer } from '../fixtures/world-server.ts'

/** Worlds that are tried side by side. */
const atOnce = 6
/** In how many places there is at least something to die after. */
const leastCalls: Readonly<Record<string, number>> = {
  create: 15,
  rotate: 3,
  delete: 2,
  provider: 2,
  remove: 5,
}

describe.skipIf(whyNoControlPlane !== undefined)('an operator that is killed after each of its calls', () => {
  let server: WorldServer

  beforeAll(async () => {
    server = await startWorldServer()
  })
  afterAll(() => server?.stop())

  /** One operator dies after its n-th call and another one finishes, for every n until one does not die any more. */
  async function killEverywhere({ name, prepare, judge }: KillScenario): Promise<number> {
    const undisturbed = await server.world(`${name}-0`)
    await prepare(undisturbed)
    await undisturbed.operate()
    const expected = await undisturbed.state()
    await judge(undisturbed, 'undisturbed')
    const survives = async (calls: number): Promise<boolean> => {
      const world = await server.world(`${name}-${calls}`)
      await prepare(world)
      if ((await world.operate(calls)) === 'finished') return true
      await world.operate()
      const where = `${name}, killed after call ${calls}`
      expect(await world.state(), where).toEqual(expected)
      await judge(world, where)
      return false
    }
    for (let calls = 1; ; calls += atOnce) {
      const some = Array.from({ length: atOnce }, (_, index) => survives(calls + index))
      const first = (await Promise.all(some)).indexOf(true)
      if (first >= 0) return calls + first
    }
  }

  test.each(killScenarios)(
    '$title',
    async (scenario) => {
      expect(await killEverywhere(scenario)).toBeGreaterThan(leastCalls[scenario.name] ?? Infinity)
    },
    60_000,
  )
})
