import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  LeaderElector,
  leaseType,
  type ElectionEnd,
  type LeaderElectorOptions,
  type Leadership,
} from '../../../operator/runtime/leader-election.ts'
import type { KubernetesObject } from '../../../operator/runtime/objects.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { apiOf } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { eventually, ManualTime, settle } from './manual-time.ts'

let server: FakeApiServer

const leases = '/apis/coordination.k8s.io/v1/namespaces/a/leases'
const leasePath = `${leases}/operator`

beforeEach(async () => {
  server = await FakeApiServer.start()
})

afterEach(async () => {
  for (const candidate of candidates.splice(0)) candidate.stop.abort()
  await server.stop()
})

interface Spec {
  holderIdentity: string
  leaseTransitions: number
  renewTime: string
  acquireTime: string
}

const leaseSpec = (): Spec => server.read(leasePath)?.spec as Spec

const candidates: Candidate[] = []

interface Candidate {
  readonly elector: LeaderElector
  readonly time: ManualTime
  readonly stop: AbortController
  readonly calls: string[]
  readonly leaderships: Leadership[]
  readonly ends: ElectionEnd[]
  start(): void
}

/** Each candidate has its own clock, as machines do. */
function aCandidate(identity: string, options: Partial<LeaderElectorOptions> = {}): Candidate {
  const time = new ManualTime()
  const stop = new AbortController()
  const calls: string[] = []
  const leaderships: Leadership[] = []
  const ends: ElectionEnd[] = []
  const elector = new LeaderElector({
    api: apiOf(server),
    namespace: 'a',
    name: 'operator',
    identity,
    time,
    random: () => 0,
    log: recordingLog(),
    onStartedLeading: (leadership) => {
      calls.push('started')
      leaderships.push(leadership)
    },
    onStoppedLeading: () => void calls.push('stopped'),
    ...options,
  })
  const start = (): void => void elector.run(stop.signal).then((end) => ends.push(end))
  const candidate = { elector, time, stop, calls, leaderships, ends, start }
  candidates.push(candidate)
  return candidate
}

async function aLeader(identity: string, options: Partial<LeaderElectorOptions> = {}): Promise<Candidate> {
  const candidate = aCandidate(identity, options)
  candidate.start()
  await eventually(
    `${identity} leads`,
    () => candidate.elector.isLeader() && candidate.calls.includes('started'),
  )
  return candidate
}

/** One attempt of a standby or one renewal of a leader: the clock goes on by the retry period. */
async function nextAttempt(candidate: Candidate): Promise<void> {
  const before = server.requests.length
  await candidate.time.advance(2000)
  await eventually('an attempt was made', () => server.requests.length > before)
  await idle(candidate)
}

/** Its next step waits for the retry period; an attempt under way has a longer limit. */
const isIdle = ({ time }: Candidate): boolean => time.waits.length === 1 && Number(time.waits[0]) <= 2000

async function idle(candidate: Candidate): Promise<void> {
  await eventually('the attempt is over', () => isIdle(candidate))
}

async function aStandby(identity: string): Promise<Candidate> {
  const candidate = aCandidate(identity)
  candidate.start()
  await eventually('it has seen the lease', () => candidate.elector.leader() !== '')
  await idle(candidate)
  return candidate
}

describe('a leader elector', () => {
  test('takes a lease that does not exist, with times in microseconds', async () => {
    const { leaderships } = await aLeader('one')
    expect(leaseSpec()).toMatchObject({
      holderIdentity: 'one',
      leaseDurationSeconds: 15,
      leaseTransitions: 1,
      renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    })
    expect(leaderships[0]?.term).toBe(1)
  })

  test('gets a later term where it asks for one, by a renewal, and keeps that', async () => {
    const leader = await aLeader('one')
    const raised = leader.leaderships[0]?.raiseTerm(41)
    await nextAttempt(leader)
    expect(await raised).toBe(42)
    expect(await leader.leaderships[0]?.raiseTerm(30)).toBe(42)
    await nextAttempt(leader)
    expect(leaseSpec()).toMatchObject({ holderIdentity: 'one', leaseTransitions: 42 })
  })

  test('gets no later term once another leads', async () => {
    const leader = await aLeader('one')
    const raised = leader.leaderships[0]?.raiseTerm(41)
    const outcome = raised?.then(String, () => 'refused')
    server.put(leases, {
      ...server.read(leasePath),
      metadata: { name: 'operator' },
      spec: { ...leaseSpec(), holderIdentity: 'two' },
    })
    for (let attempt = 0; attempt < 3; attempt += 1) await leader.time.advance(2000)
    await eventually('it has lost', () => leader.ends.length === 1)
    expect(await outcome).toBe('refused')
    expect(leaseSpec()).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 })
  })

  test('renews every two seconds and keeps its term', async () => {
    const leader = await aLeader('one')
    const { renewTime, acquireTime } = leaseSpec()
    for (let renewal = 0; renewal < 10; renewal += 1) await nextAttempt(leader)
    expect(leaseSpec().renewTime).not.toBe(renewTime)
    expect(leaseSpec()).toMatchObject({ acquireTime, leaseTransitions: 1 })
    expect(leader.elector.isLeader()).toBe(true)
    expect(server.asked('PUT')).toHaveLength(10)
  })

  test('does not take a lease that is renewed, however old its times look', async () => {
    const leader = await aLeader('one')
    const standby = await aStandby('two')
    standby.time.jump(5000)
    for (let round = 0; round < 20; round += 1) {
      await nextAttempt(leader)
      await nextAttempt(standby)
    }
    expect(standby.elector.isLeader()).toBe(false)
    expect(standby.elector.leader()).toBe('one')
  })

  test('takes over once it saw the lease unchanged for longer than its duration, in a new term', async () => {
    await aLeader('one')
    const standby = await aStandby('two')
    for (let attempt = 0; attempt < 7; attempt += 1) await nextAttempt(standby)
    expect(standby.elector.isLeader()).toBe(false)
    await standby.time.advance(2000)
    await eventually('two leads', () => standby.calls.includes('started'))
    expect(standby.leaderships[0]?.term).toBe(2)
    expect(leaseSpec().holderIdentity).toBe('two')
  })

  test('lets only one of two win when both try at once', async () => {
    const both = [aCandidate('one'), aCandidate('two')]
    for (const candidate of both) candidate.start()
    await eventually('both tried', () => both.every(isIdle))
    expect(both.filter(({ elector }) => elector.isLeader())).toHaveLength(1)
  })

  test('stops leading when the server is away for longer than the renew deadline, before another may lead', async () => {
    const leader = await aLeader('one', {
      onStoppedLeading: () => void leader.calls.push(`stopped ${leader.leaderships[0]?.signal.aborted}`),
    })
    server.answerNext({ status: 500, times: 100 })
    for (let attempt = 0; attempt < 4; attempt += 1) await nextAttempt(leader)
    expect(leader.elector.isLeader()).toBe(true)
    await leader.time.advance(2000)
    await eventually('it has stopped', () => leader.ends.length === 1)
    expect(leader.ends).toEqual(['lost'])
    // What it started was told before it was asked to have stopped.
    expect(leader.calls).toEqual(['started', 'stopped true'])
  })

  test('stops leading in time when the connection hangs', async () => {
    const leader = await aLeader('one')
    server.freeze(true)
    await leader.time.advance(2000)
    await leader.time.advance(7999)
    expect(leader.ends).toEqual([])
    await leader.time.advance(1)
    await eventually('it has stopped', () => leader.ends.length === 1)
    expect(leader.ends).toEqual(['lost'])
  })

  test('no longer says it leads after the deadline, even when nothing could run meanwhile', async () => {
    const { elector, time } = await aLeader('one')
    time.jump(9999)
    expect(elector.isLeader()).toBe(true)
    time.jump(1)
    expect(elector.isLeader()).toBe(false)
  })

  test('survives a short absence of the server', async () => {
    const leader = await aLeader('one')
    server.answerNext({ status: 503, times: 3 })
    for (let attempt = 0; attempt < 6; attempt += 1) await nextAttempt(leader)
    expect(leader.calls).toEqual(['started'])
    expect(leader.elector.isLeader()).toBe(true)
  })

  test('leads again after it lost the lease and the server came back', async () => {
    const leader = await aLeader('one')
    server.answerNext({ status: 500, times: 100, method: 'PUT' })
    await leader.time.advance(10_000)
    await eventually('it has stopped', () => leader.ends.length === 1)
    await server.stop()
    server = await FakeApiServer.start()
    expect((await aLeader('one')).elector.isLeader()).toBe(true)
  })

  test('stops leading at once when another holds the lease', async () => {
    const leader = await aLeader('one')
    const lease = server.read(leasePath)
    server.put(leases, {
      ...lease,
      metadata: { name: 'operator' },
      spec: { ...leaseSpec(), holderIdentity: 'two' },
    })
    await leader.time.advance(2000)
    await leader.time.advance(2000)
    await eventually('it has stopped', () => leader.ends.length === 1)
    expect(leader.ends).toEqual(['lost'])
    expect(leaseSpec().holderIdentity).toBe('two')
  })

  test('goes on leading when a renewal arrived but its answer did not', async () => {
    const leader = await aLeader('one')
    server.put(leases, { ...server.read(leasePath), metadata: { name: 'operator' } } as KubernetesObject)
    for (let attempt = 0; attempt < 3; attempt += 1) await nextAttempt(leader)
    expect(leader.calls).toEqual(['started'])
    expect(leader.elector.isLeader()).toBe(true)
  })

  test('gives the lease back when it is stopped, so that another leads without waiting', async () => {
    const leader = await aLeader('one')
    const standby = await aStandby('two')
    leader.stop.abort()
    await eventually('it has stopped', () => leader.ends.length === 1)
    expect(leader.ends).toEqual(['released'])
    expect(leaseSpec().holderIdentity).toBe('')
    await standby.time.advance(2000)
    await eventually('two leads', () => standby.calls.includes('started'))
    expect(standby.leaderships[0]?.term).toBe(2)
  })

  test('keeps the lease renewed while work drains, and gives it back only afterwards', async () => {
    const draining = Promise.withResolvers<void>()
    const leader = await aLeader('one', { onStoppedLeading: () => draining.promise })
    leader.stop.abort()
    await settle()
    expect(leader.leaderships[0]?.signal.aborted).toBe(true)
    for (let renewal = 0; renewal < 10; renewal += 1) await nextAttempt(leader)
    expect(leaseSpec().holderIdentity).toBe('one')
    draining.resolve()
    await eventually('it has stopped', () => leader.ends.length === 1)
    expect(leaseSpec().holderIdentity).toBe('')
  })

  test('ends without a lease when it is stopped while it waits', async () => {
    await aLeader('one')
    const standby = await aStandby('two')
    standby.stop.abort()
    await eventually('it has stopped', () => standby.ends.length === 1)
    expect(standby.ends).toEqual(['released'])
    expect(standby.calls).toEqual([])
    expect(leaseSpec().holderIdentity).toBe('one')
  })

  test('waits for a server that is not there yet', async () => {
    server.answerNext({ status: 503, times: 3 })
    const candidate = aCandidate('one')
    candidate.start()
    await idle(candidate)
    for (let attempt = 0; attempt < 2; attempt += 1) await nextAttempt(candidate)
    await candidate.time.advance(2000)
    await eventually('it leads', () => candidate.elector.isLeader())
  })

  test('refuses durations with which two could lead', () => {
    expect(() => aCandidate('one', { renewDeadlineMs: 15_000 })).toThrow('shorter than the lease')
    expect(() => aCandidate('one', { retryPeriodMs: 9000 })).toThrow('shorter than the renew deadline')
  })

  test('does not run twice at once', async () => {
    const { elector, stop } = await aLeader('one')
    expect(() => elector.run(stop.signal)).toThrow('already running')
  })

  test('addresses leases as Kubernetes does', () => {
    expect(leaseType).toEqual({
      group: 'coordination.k8s.io',
      version: 'v1',
      plural: 'leases',
      namespaced: true,
    })
  })
})
