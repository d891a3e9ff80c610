/** The operator while the API server, the way to it, or its own process fails; a real API server and a real Redis. */
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type ApiProxy, startApiProxy } from '../fixtures/api-proxy.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { hasLongFaults } from '../fixtures/long-faults.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import type { RunningProgram } from '../fixtures/program.ts'

const org = 'org_k7xm4pqr2n5t'
const namespace = 'default'
const access = [{ effect: 'allow', actions: ['publish'], topics: ['a'] }]
const organizationRef = { name: 'acme' }
const isOfUsers = (path: string): boolean => path.includes('/mqttusers')

/**
 * The first answer after an outage ends every wait and begins the back-off anew (test/operator/runtime/reflector.test.ts), so
 * that a longer outage ends in no other way; `npm run faults:operator` takes a real minute.
 */
const outageMs = hasLongFaults ? 60_000 : 3_000
const timeoutMs = outageMs + 30_000

function manifest(kind: string, name: string, spec: object): object {
  return { apiVersion: 'cloudsignal.app/v1alpha1', kind, metadata: { name, namespace }, spec }
}
const user = (name: string, spec: object = {}): object =>
  manifest('MqttUser', name, { organizationRef, access, ...spec })

describe.skipIf(whyNoControlPlane !== undefined || process.env['KUBECONFIG_TEST'] !== undefined)(
  'the operator behind a failing way to the API server',
  () => {
    let cluster: OperatorCluster
    let proxy: ApiProxy
    let operator: RunningProgram

    beforeAll(async () => {
      cluster = await startOperatorCluster()
      await cluster.apply(manifest('Organization', 'acme', { shortId: 'k7xm4pqr2n5t' }), user('ada'))
    })
    beforeEach(async () => {
      proxy = await startApiProxy(cluster.account.kubeconfigPath)
      operator = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_KUBECONFIG: proxy.kubeconfigPath })
      await operator.logged('everything is in the store')
    })
    afterEach(async () => {
      await cluster.killOperators()
      await proxy.stop()
    })
    afterAll(() => cluster?.stop())

    const stored = (name: string) => cluster.store.get('user', org, name)
    const settled = async (): Promise<void> => {
      await cluster.ready('mqttuser', namespace, 'ada', 'True Synced')
      expect(operator.output()).not.toContain('caught by nobody')
      expect(await operator.terminate()).toBe(0)
    }

    test('a leader that hung in the middle of its work writes nothing once another leads', async () => {
      const held = Promise.withResolvers<void>()
      const reads = Promise.withResolvers<void>()
      proxy.intervene(({ method, path }) => {
        if (method !== 'GET' || !path.includes('/secrets/hung-mqtt')) return undefined
        reads.resolve()
        return () => held.promise
      })
      await cluster.apply(user('hung'))
      await reads.promise
      const resume = operator.freeze()
      const other = cluster.startOperator()
      await other.logged('everything is in the store')
      await cluster.ready('mqttuser', namespace, 'hung', 'True Synced')
      const spec = { suspended: true }
      await cluster.apply(user('hung', spec))
      await eventually(
        'the other one has suspended it',
        async () => (await stored('hung'))?.suspended === true,
      )
      const { stdout: before } = await cluster.plane.kubectl(['get', 'secret', 'hung-mqtt', '-o', 'json'])
      const record = await stored('hung')
      const changes = await cluster.redis.xlen('cs:{all}:control')
      held.resolve()
      resume()
      await operator.logged('stopped leading')
      expect(operator.output()).toMatch(/superseded|another operator leads/)
      expect(await stored('hung')).toEqual(record)
      expect(await cluster.redis.xlen('cs:{all}:control')).toBe(changes)
      expect((await cluster.plane.kubectl(['get', 'secret', 'hung-mqtt', '-o', 'json'])).stdout).toBe(before)
      expect(other.output()).not.toContain('stopped leading')
      expect(await other.terminate()).toBe(0)
      await eventually('it leads again', () => operator.output().split('"started leading"').length === 3)
      await settled()
    })

    test(
      'after an outage all is caught up within seconds, without a storm before',
      async () => {
        proxy.away(true)
        const from = proxy.asked.length
        await cluster.apply(user('meanwhile'))
        await cluster.plane.kubectl(['annotate', 'mqu', 'ada', '-n', namespace, '--overwrite', 'note=outage'])
        await operator.logged('stopped leading')
        await new Promise((resolve) => setTimeout(resolve, outageMs))
        expect(proxy.asked.length).toBe(from)
        const failures = operator.output().split('list or watch failed').length - 1
        // Of six watches, each after twice the time of before, and half a minute at the longest.
        expect(failures).toBeLessThan(hasLongFaults ? 70 : 40)
        const began = performance.now()
        proxy.away(false)
        await cluster.ready('mqttuser', namespace, 'meanwhile', 'True Synced')
        expect(performance.now() - began).toBeLessThan(10_000)
        await settled()
      },
      timeoutMs,
    )

    test('watches that are cut, and answers that a version is too old, are followed by another look', async () => {
      proxy.cut()
      await cluster.apply(user('after-a-cut'))
      await cluster.ready('mqttuser', namespace, 'after-a-cut', 'True Synced')
      let refused = 0
      proxy.intervene(({ isWatch, path }) => {
        if (!isWatch || !isOfUsers(path) || refused > 0) return undefined
        refused += 1
        return { status: 410, reason: 'Expired' }
      })
      proxy.cut()
      await eventually('it was refused', () => refused === 1)
      await cluster.apply(user('after-410'))
      // It has failed three times in a row by now, and waits accordingly.
      await eventually('it is seen', async () => (await stored('after-410')) !== undefined, 20_000)
      await settled()
    })

    test('conflicts, throttling and errors of single calls are tried again, and not at once', async () => {
      const left = new Map([
        [
          'PATCH',
          [
            { status: 409, reason: 'Conflict' },
            { status: 429, reason: 'TooManyRequests', headers: { 'retry-after': '1' } },
          ],
        ],
        ['GET', [{ status: 500, reason: 'InternalError' }]],
        ['POST', [{ status: 503, reason: 'ServiceUnavailable' }]],
      ])
      const isOurs = (path: string): boolean =>
        path.includes('/mqttusers/unlucky') || /\/secrets(\/unlucky|$|\?)/.test(path)
      const times: number[] = []
      proxy.intervene(({ method, path, isWatch }) => {
        if (isWatch || !isOurs(path) || (method === 'GET' && !path.includes('unlucky'))) return undefined
        times.push(performance.now())
        return left.get(method)?.shift()
      })
      await cluster.apply(user('unlucky'))
      await cluster.ready('mqttuser', namespace, 'unlucky', 'True Synced')
      expect([...left.values()].flat()).toEqual([])
      expect(times.length).toBeLessThan(40)
      const { stdout } = await cluster.plane.kubectl(['get', 'secrets', '-n', namespace, '-o', 'name'])
      expect(stdout.match(/unlucky/g)).toHaveLength(1)
      await settled()
    })

    test('of two operators one writes, in Kubernetes and in Redis, and the other once that one is killed', async () => {
      const ofOther = await startApiProxy(cluster.account.kubeconfigPath)
      onTestFinished(() => ofOther.stop())
      const other = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_KUBECONFIG: ofOther.kubeconfigPath })
      await other.logged('the operator runs')
      const monitor = await (cluster.redis as Redis).monitor()
      onTestFinished(() => monitor.disconnect())
      const writers = new Set<string>()
      monitor.on('monitor', (_: string, [command = '', ...rest]: string[], source: string) => {
        if (/^eval(sha)?$/i.test(command) && rest.join(' ').includes(':id:')) writers.add(source)
      })
      const writes = (): string[] =>
        ofOther.asked.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`)

      const before = await cluster.store.names('user', org)
      const names = ['one', 'two', 'three', 'four'].map((name) => `${name}-of-${before.length}`)
      const last = names.pop() ?? ''
      await cluster.apply(...names.map((name) => user(name)))
      for (const name of names) await cluster.ready('mqttuser', namespace, name, 'True Synced')
      expect(writes()).toEqual([])
      const [writer, ...more] = writers
      expect(writer).toMatch(/^127\.0\.0\.1:\d+$/)
      expect(more).toEqual([])

      await operator.kill()
      writers.clear()
      await cluster.apply(user(last))
      await cluster.ready('mqttuser', namespace, last, 'True Synced')
      expect(writes()).not.toEqual([])
      expect([...writers]).toHaveLength(1)
      expect([...writers]).not.toContain(writer)
      for (const name of [...names, last]) expect(await stored(name), name).toBeDefined()
      expect(await other.terminate()).toBe(0)
    })

    test(
      'an API server that is restarted is followed again, and nothing is done twice',
      async () => {
        await cluster.plane.restart(hasLongFaults ? outageMs : 0)
        await cluster.apply(user('after-a-restart'))
        const began = performance.now()
        await cluster.ready('mqttuser', namespace, 'after-a-restart', 'True Synced')
        expect(performance.now() - began).toBeLessThan(10_000)
        expect(await stored('after-a-restart')).toBeDefined()
        await settled()
      },
      timeoutMs,
    )

    test('a user that is deleted while Redis hangs is let go in time with an Event; its record goes when Redis is back', async () => {
      await cluster.killOperators()
      operator = cluster.startOperator({ CLOUDSIGNAL_OPERATOR_FINALIZER_SECONDS: '1' })
      await operator.logged('everything is in the store')
      await cluster.apply(user('stuck'))
      await cluster.ready('mqttuser', namespace, 'stuck', 'True Synced')
      cluster.redisServer.suspend()
      await cluster.plane.kubectl(['delete', 'mqu', 'stuck', '-n', namespace, '--timeout=20s'])
      await eventually('it is told', async () => {
        const { stdout } = await cluster.plane.kubectl(['get', 'events', '-n', namespace, '-o', 'name'])
        return stdout.includes('stuck') && operator.output().includes('its record is left for the sweep')
      })
      cluster.redisServer.resume()
      await eventually('its record is gone', async () => {
        return (await stored('stuck').catch(() => 'away')) === undefined
      })
      expect(await stored('ada')).toBeDefined()
      await settled()
    })
  },
)
