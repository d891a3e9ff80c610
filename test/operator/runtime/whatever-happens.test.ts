import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ApiError } from '../../../kubernetes/api-error.ts'
import type { KubernetesApi } from '../../../operator/runtime/kubernetes-api.ts'
import { LeaderElector } from '../../../operator/runtime/leader-election.ts'
import type { KubernetesObject } from '../../../operator/runtime/objects.ts'
import { Reflector } from '../../../operator/runtime/reflector.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { aWidget, apiOf, widgetsOf, widgetType, type Widget } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { eventually, ManualTime, settle } from './manual-time.ts'

const widgets = widgetsOf('a')

type Step =
  | { do: 'put' | 'remove' | 'recreate'; name: string }
  | { do: 'end' | 'cut' | 'half a line' | 'compact' | 'bookmark' | 'expire' | 'pass' }
  | { do: 'fail'; status: number; isWatch: boolean }

const name = fc.constantFrom('one', 'two', 'three')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('put', 'remove', 'recreate'), name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('end', 'cut', 'half a line', 'compact', 'bookmark', 'expire', 'pass'),
    }),
  },
  fc.record({
    do: fc.constant('fail' as const),
    status: fc.constantFrom(401, 410, 429, 500, 504),
    isWatch: fc.boolean(),
  }),
)

async function disturb(server: FakeApiServer, time: ManualTime, next: Step): Promise<void> {
  if (next.do === 'put') server.put(widgets, aWidget(next.name))
  if (next.do === 'remove' || next.do === 'recreate') server.remove(`${widgets}/${next.name}`)
  if (next.do === 'recreate') server.put(widgets, aWidget(next.name))
  if (next.do === 'end') server.endWatches()
  if (next.do === 'cut') server.cutWatches()
  if (next.do === 'half a line') server.endWatchesWithinALine()
  if (next.do === 'compact') server.compact()
  if (next.do === 'bookmark') server.bookmark()
  if (next.do === 'expire') server.sendError(410, 'Expired')
  if (next.do === 'fail') server.answerNext(next)
  if (next.do === 'pass') await time.advance(5000)
}

/** Long enough for most of what is under way on loopback, so that steps meet the reflector in all its states. */
const realMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1))

/** Adds up what a handler is told, and notes what contradicts what it was told before. */
function aLedger(reflector: Reflector<Widget>) {
  const known = new Map<string, string | undefined>()
  const contradictions: string[] = []
  const expectKnown = (isKnown: boolean, { metadata }: Widget, what: string): void => {
    if (known.has(metadata.name) !== isKnown) contradictions.push(`${what} ${metadata.name}`)
  }
  reflector.addHandler({
    added(object) {
      expectKnown(false, object, 'added')
      known.set(object.metadata.name, object.metadata.uid)
    },
    updated(object) {
      expectKnown(true, object, 'updated')
      if (known.get(object.metadata.name) !== object.metadata.uid)
        contradictions.push('updated to another uid')
    },
    deleted(object) {
      expectKnown(true, object, 'deleted')
      known.delete(object.metadata.name)
    },
  })
  return { known, contradictions }
}

describe('whatever happens to the connection', () => {
  test('a reflector ends up with what the server holds, and its handlers heard a story that fits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const server = await FakeApiServer.start()
        const stop = new AbortController()
        const time = new ManualTime()
        const log = recordingLog()
        const reflector = new Reflector<Widget>({
          api: apiOf(server),
          type: widgetType,
          time,
          random: () => 0.5,
          log,
        })
        const { known, contradictions } = aLedger(reflector)
        void reflector.run(stop.signal)
        for (const next of steps) {
          await disturb(server, time, next)
          await realMoment()
        }
        const { metadata } = server.put(widgets, aWidget('last'))
        const hasLast = (): boolean =>
          reflector.store.get('a/last')?.metadata.resourceVersion === metadata.resourceVersion
        for (let round = 0; round < 100 && !hasLast(); round += 1) {
          await time.advance(30_000)
          await realMoment()
        }
        await eventually('the last change is seen', hasLast)
        const stored = reflector.store.list().map(({ metadata }) => [metadata.name, metadata.uid])
        const names = ['one', 'two', 'three', 'last']
        const held = names.flatMap((name) => {
          const object = server.read(`${widgets}/${name}`)
          return object === undefined ? [] : [[name, object.metadata.uid]]
        })
        stop.abort()
        await server.stop()
        expect(stored.sort()).toEqual(held.sort())
        expect([...known].sort()).toEqual(held.sort())
        expect(contradictions).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})

type LeaseApi = Pick<KubernetesApi, 'get' | 'create' | 'replace'>
type Link = 'up' | 'down' | 'hangs' | 'answers lost'

/** One Lease with resourceVersion checks, behind a link of each candidate's own. */
function aLeaseStore() {
  let stored: KubernetesObject | undefined
  let version = 0
  const keep = (object: KubernetesObject): KubernetesObject => {
    stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } }
    return stored
  }
  const operations = {
    get(): KubernetesObject {
      if (stored === undefined) throw new ApiError('not-found', 'no lease')
      return stored
    },
    create(object: KubernetesObject): KubernetesObject {
      if (stored !== undefined) throw new ApiError('already-exists', 'there is one')
      return keep(object)
    },
    replace(object: KubernetesObject): KubernetesObject {
      if (object.metadata.resourceVersion !== stored?.metadata.resourceVersion) {
        throw new ApiError('conflict', 'changed')
      }
      return keep(object)
    },
  }
  return (link: () => Link): LeaseApi => {
    const over = async (signal: AbortSignal | undefined, act: () => KubernetesObject): Promise<never> => {
      if (link() === 'down') throw new ApiError('unreachable', 'down')
      if (link() === 'hangs') await untilAborted(signal)
      const result = act()
      if (link() === 'answers lost') throw new ApiError('unreachable', 'the answer was cut')
      return result as never
    }
    return {
      get: (_type, _name, options) => over(options?.signal, operations.get),
      create: (_type, object, options) => over(options?.signal, () => operations.create(object)),
      replace: (_type, object, options) => over(options?.signal, () => operations.replace(object)),
    }
  }
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new ApiError('timeout', 'hung')))
  })
}

const who = fc.constantFrom(0, 1, 2)
const electionStep = fc.oneof(
  fc.record({ who, link: fc.constantFrom<Link>('up', 'down', 'hangs', 'answers lost') }),
  fc.record({ pass: fc.integer({ min: 100, max: 20_000 }) }),
  fc.record({ who, restart: fc.constant(true) }),
)

describe('whatever happens to the links of three electors', () => {
  test('never two lead at once, terms only grow, and one leads in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(electionStep, { maxLength: 25 }), async (steps) => {
        const time = new ManualTime()
        const connect = aLeaseStore()
        const links: Link[] = ['up', 'up', 'up']
        const stops: (AbortController | undefined)[] = []
        const terms: number[] = []
        let most = 0
        const electors = links.map(
          (_, index) =>
            new LeaderElector({
              api: connect(() => links[index] ?? 'up'),
              namespace: 'a',
              name: 'operator',
              identity: `elector-${index}`,
              time,
              random: () => index / 3,
              log: recordingLog(),
              onStartedLeading: ({ term }) => void terms.push(term),
              onStoppedLeading() {},
            }),
        )
        const leaders = (): number => electors.filter((elector) => elector.isLeader()).length
        const start = async (index: number): Promise<void> => {
          const stop = new AbortController()
          stops[index] = stop
          while (!stop.signal.aborted) await electors[index]?.run(stop.signal)
          stops[index] = undefined
        }
        const pass = async (ms: number): Promise<void> => {
          for (let passed = 0; passed < ms; passed += 100) {
            await time.advance(100)
            most = Math.max(most, leaders())
          }
        }
        for (const index of links.keys()) void start(index)
        for (const next of steps) {
          if ('pass' in next) await pass(next.pass)
          else if ('link' in next) links[next.who] = next.link
          else {
            stops[next.who]?.abort()
            await settle()
            if (stops[next.who] === undefined) void start(next.who)
          }
        }
        links.fill('up')
        for (const index of links.keys()) if (stops[index]?.signal.aborted) await pass(6000)
        for (const index of links.keys()) if (stops[index] === undefined) void start(index)
        await pass(25_000)
        const inTheEnd = leaders()
        for (const stop of stops) stop?.abort()
        await pass(11_000)
        expect(most).toBeLessThanOrEqual(1)
        expect(inTheEnd).toBe(1)
        expect(terms).toEqual(terms.toSorted((left, right) => left - right))
      }),
      { numRuns: 40 },
    )
  }, 60_000)
})
