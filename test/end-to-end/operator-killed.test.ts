/**
 * The operator as a process that gets SIGKILL once the API server has done what it asked for and before it learns so, and
 * is started again: it ends where an undisturbed one does, in Kubernetes and in Redis. `npm run faults:operator` kills it after every
 * call of each scenario; without, after some, since every one, and every write to Redis, is tried in one process by
 * test/operator/killed-anywhere.test.ts.
 */
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiProxy, type Asked, startApiProxy } from '../fixtures/api-proxy.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type KillScenario, killScenarios } from '../fixtures/kill-scenarios.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { hasLongFaults } from '../fixtures/long-faults.ts'
import type { OperatorWorld } from '../fixtures/operator-world.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { startWorldServer, type WorldServer } from '../fixtures/world-server.ts'

/** Processes at a time: most of the time they wait for the Lease of one that was killed. */
const atOnce = 4
const someCalls: Readonly<Record<string, readonly number[]>> = {
  create: [3, 7],
  rotate: [2],
  delete: [1],
  provider: [1],
  remove: [2],
}
/** After so long without a call there comes none any more. */
const quietMs = 1_500
const timeoutMs = hasLongFaults ? 300_000 : 60_000

/** What a reconcile asks, and not how the operator starts, leads or tells. */
function isOfReconcile({ method, path, isWatch }: Asked): boolean {
  if (isWatch || path.includes('/leases') || path.includes('/events')) return false
  return method !== 'GET' || /\/(secrets|customresourcedefinitions)\/[^?]/.test(path)
}

const options = { concurrent: !hasLongFaults }
describe.skipIf(whyNoControlPlane !== undefined)('the process of an operator that is killed', options, () => {
  let server: WorldServer
  const programs = new Set<RunningProgram>()

  beforeAll(async () => {
    server = await startWorldServer()
  })
  afterAll(async () => {
    await Promise.all([...programs].map((program) => program.kill()))
    await server?.stop()
  })

  function start({ namespace }: OperatorWorld, proxy: ApiProxy): RunningProgram {
    const program = startProgram('operator', {
      CLOUDSIGNAL_REDIS_URL: server.redisServer.url,
      CLOUDSIGNAL_KEY_PREFIX: namespace,
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
      CLOUDSIGNAL_OPERATOR_KUBECONFIG: proxy.kubeconfigPath,
      CLOUDSIGNAL_OPERATOR_NAMESPACES: namespace,
      CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE: namespace,
      CLOUDSIGNAL_OPERATOR_LEASE_SECONDS: '3',
    })
    programs.add(program)
    void program.exited.then(() => programs.delete(program))
    return program
  }

  /** Resolves with whether there was such a call; it was killed after it then, and another one has ended as it should. */
  async function killAfter(scenario: KillScenario, call: number, expected: object): Promise<boolean> {
    const where = `${scenario.name}, SIGKILL after call ${call}`
    const world = await server.world(`${scenario.name}-${call}`)
    await scenario.prepare(world)
    const proxy = await startApiProxy(server.plane.kubeconfigPath)
    const operator = start(world, proxy)
    let calls = 0
    let lastCall = 0
    let leads = false
    let isKilled = false
    proxy.intervene((asked) => {
      leads ||= asked.method !== 'GET' && asked.path.includes('/leases')
      if (!leads || !isOfReconcile(asked)) return undefined
      calls += 1
      lastCall = performance.now()
      if (calls !== call) return undefined
      isKilled = true
      return () => operator.kill()
    })
    const isDone = (): boolean =>
      operator.output().includes('"everything is in the store"') && performance.now() - lastCall > quietMs
    await eventually(where, () => isKilled || isDone(), 30_000)
    if (isKilled) {
      await operator.exited
      proxy.intervene(undefined)
      const next = start(world, proxy)
      await next.logged('everything is in the store')
      // An event may be told, or a status shown, a moment later.
      await eventually(where, async () => isDeepStrictEqual(await world.state(), expected)).catch(() => {})
      expect(await world.state(), where).toEqual(expected)
      await scenario.judge(world, where)
      expect(next.output()).not.toContain('caught by nobody')
      await next.kill()
    } else await operator.kill()
    await proxy.stop()
    return isKilled
  }

  test.each(killScenarios)(
    '$title',
    async (scenario) => {
      const undisturbed = await server.world(`${scenario.name}-0`)
      await scenario.prepare(undisturbed)
      await undisturbed.operate()
      const expected = await undisturbed.state()
      await scenario.judge(undisturbed, 'undisturbed')
      const some = someCalls[scenario.name] ?? []
      if (!hasLongFaults) {
        const killed = await Promise.all(some.map((call) => killAfter(scenario, call, expected)))
        expect(killed).toEqual(some.map(() => true))
        return
      }
      let kills = 0
      for (let first = 1; kills === first - 1; first += atOnce) {
        const calls = Array.from({ length: atOnce }, (_, index) => first + index)
        const killed = await Promise.all(calls.map((call) => killAfter(scenario, call, expected)))
        kills += killed.filter(Boolean).length
      }
      console.info(`${scenario.name}: killed after each of ${kills} calls`)
      expect(kills).toBeGreaterThanOrEqual(Math.max(...some))
    },
    timeoutMs,
  )
})
