import { beforeEach, describe, expect, test } from 'vitest'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type {
  Arrival,
  Arrived,
  Claim,
  ClientRegistry,
  DueWill,
} from '../../broker/cluster/client-registry.ts'
import type { StoredWill } from '../../broker/cluster/stored-will.ts'
import { anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'

export interface RegistryUnderTest {
  /** As two replicas see it; for one process alone both are the same. */
  readonly here: ClientRegistry
  readonly there: ClientRegistry
  /** Lets time pass. */
  advance(ms: number): Promise<void>
}

const id = 'user:ada/device 1'

export const aWill = (over: Partial<StoredWill> = {}): StoredWill => ({
  message: {
    topic: 'gone/ada',
    payload: Buffer.from([0, 255, 10, 32]),
    qos: 1,
    retain: true,
    properties: Buffer.from([1, 0]),
  },
  author: { source: { type: 'user', name: 'ada' }, uid: 'uid-1', clientId: 'device 1' },
  delaySeconds: 0,
  ...over,
})

const arrival = (over: Partial<Arrival> = {}): Arrival => ({
  organization: anOrganizationId,
  id,
  isCleanStart: false,
  ...over,
})

const atOnce = { publish: true, atMostSeconds: 3_600 } as const
const withoutWill = { publish: false } as const

/** By records that nobody changes. */
export async function arriveAt(registry: ClientRegistry, given: Arrival): Promise<Arrived> {
  const arrived = await registry.arrive(given, [])
  if (typeof arrived === 'string') throw new Error(`not arrived: ${arrived}`)
  return arrived
}

/** What every ClientRegistry does. `open` makes an empty one. */
export function clientRegistryContract(open: () => Promise<RegistryUnderTest>): void {
  let under: RegistryUnderTest
  let here: ClientRegistry
  let there: ClientRegistry

  beforeEach(async () => {
    under = await open()
    ;({ here, there } = under)
  })

  const arrive = async (over: Partial<Arrival> = {}, registry = here): Promise<Claim> =>
    (await arriveAt(registry, arrival(over))).claim

  const names = (wills: readonly DueWill[]): string[] => wills.map((will) => will.id)

  describe('a client id', () => {
    test('belongs to whoever claimed it last, also when all claim it at once', async () => {
      const claims = await Promise.all(
        Array.from({ length: 40 }, (_, index) => arrive({}, index % 2 === 0 ? here : there)),
      )
      const epochs = claims.map(({ epoch }) => epoch)
      expect(new Set(epochs).size).toBe(40)
      const confirmed: number[] = []
      for (const claim of claims) if (await here.confirm(claim)) confirmed.push(claim.epoch)
      expect(confirmed).toEqual([Math.max(...epochs)])
    })

    test('is another one in another organization', async () => {
      const own = await arrive()
      await arrive({ organization: anotherOrganizationId })
      expect(await here.confirm(own)).toBe(true)
    })

    test('is not given back by one that has lost it', async () => {
      const former = await arrive()
      const latter = await arrive({}, there)
      await here.leave(former, atOnce)
      expect(await there.confirm(latter)).toBe(true)
      expect(await here.confirm(former)).toBe(false)
    })
  })

  describe('as many connections as there may be', () => {
    const bounds = { organization: 3, principal: 2 }
    const come = (
      name: string,
      over: Partial<Arrival> = {},
      registry = here,
    ): ReturnType<typeof here.arrive> => registry.arrive(arrival({ id: `user:${name}`, ...over }), [], bounds)

    test('are let in of one principal and of the organization, on all replicas together', async () => {
      await come('ada/1')
      await come('ada/2', {}, there)
      expect(await come('ada/3')).toBe('principal-full')
      await come('bob/1', {}, there)
      expect(await come('carol/1')).toBe('organization-full')
      expect(await come('carol/1', { organization: anotherOrganizationId })).toMatchObject({ claim: {} })
      // Without bounds there are none.
      expect(await here.arrive(arrival({ id: 'user:ada/4' }), [])).toMatchObject({ claim: {} })
    })

    test('does not keep out who takes the id of one that is connected', async () => {
      for (const name of ['ada/1', 'ada/2', 'bob/1']) await come(name)
      expect(await come('ada/1', {}, there)).toMatchObject({ claim: {} })
      expect(await come('ada/3')).toBe('organization-full')
    })

    test('make room when one leaves, once, also when only its will is left', async () => {
      const one = await arriveAt(here, arrival({ id: 'user:ada/1' }))
      const delayed = aWill({ delaySeconds: 60 })
      const two = await arriveAt(here, arrival({ id: 'user:ada/2', will: delayed }))
      expect(await come('ada/3')).toBe('principal-full')
      await here.leave(one.claim, withoutWill)
      await here.leave(one.claim, withoutWill)
      const three = (await come('ada/3', {}, there)) as Arrived
      expect(await come('ada/4')).toBe('principal-full')
      await here.leave(two.claim, atOnce)
      expect(await come('ada/4')).toMatchObject({ claim: {} })
      expect(await come('ada/5')).toBe('principal-full')
      // One that comes back while its will waits is one more.
      expect(await come('ada/2')).toBe('principal-full')
      await there.leave(three.claim, withoutWill)
      expect(await come('ada/2')).toMatchObject({ claim: {} })
    })

    test('are not counted twice when they are confirmed', async () => {
      const { claim } = await arriveAt(here, arrival({ id: 'user:ada/1' }))
      await here.confirm(claim)
      expect(await come('ada/2')).toMatchObject({ claim: {} })
      expect(await come('ada/3')).toBe('principal-full')
    })
  })

  describe('a will', () => {
    test('is handed to who ends the connection, as it was given', async () => {
      const claim = await arrive({ will: aWill() })
      expect(await here.leave(claim, atOnce)).toEqual({
        organization: anOrganizationId,
        id,
        epoch: claim.epoch,
        attempts: 1,
        will: aWill(),
      })
      expect(await there.takeDue()).toEqual([])
    })

    test('is gone after a normal goodbye, and after it was settled', async () => {
      const first = await arrive({ will: aWill() })
      expect(await here.leave(first, withoutWill)).toBeUndefined()
      const second = await arrive({ will: aWill() })
      const due = await here.leave(second, atOnce)
      await here.settle(due as DueWill)
      expect(await here.leave(second, atOnce)).toBeUndefined()
      await under.advance(60_000)
      expect(await there.takeDue()).toEqual([])
    })

    test('of a connection that lives is never due', async () => {
      await arrive({ will: aWill() })
      await under.advance(600_000)
      expect(await there.takeDue()).toEqual([])
    })

    test('is handed to the connection that takes the id over, and to nobody else', async () => {
      const former = await arrive({ will: aWill() })
      const latter = await arriveAt(there, arrival())
      expect(latter.former).toMatchObject({ epoch: former.epoch, will: aWill() })
      expect(await here.leave(former, atOnce)).toBeUndefined()
    })

    test('that was handed out and not settled is handed out again, with a count', async () => {
      const claim = await arrive({ will: aWill() })
      const due = (await here.leave(claim, atOnce)) as DueWill
      here.postpone(due)
      expect(await here.takeDue()).toEqual([])
      await under.advance(31_000)
      expect(await here.takeDue()).toMatchObject([{ id, attempts: 2 }])
      expect(await there.takeDue()).toEqual([])
    })
  })

  describe('a will with a delay', () => {
    const delayed = aWill({ delaySeconds: 60 })

    test('is due after it, once', async () => {
      const claim = await arrive({ will: delayed })
      expect(await here.leave(claim, atOnce)).toBeUndefined()
      await under.advance(59_000)
      expect(await there.takeDue()).toEqual([])
      await under.advance(2_000)
      const due = await there.takeDue()
      expect(due).toMatchObject([{ id, epoch: claim.epoch, will: delayed }])
      await there.settle(due[0] as DueWill)
      await under.advance(60_000)
      expect([...(await here.takeDue()), ...(await there.takeDue())]).toEqual([])
    })

    test('does not outlive the session', async () => {
      const claim = await arrive({ will: delayed })
      expect(await here.leave(claim, { publish: true, atMostSeconds: 0 })).toMatchObject({ id })
    })

    test('is cancelled by a connection that goes on with the session in time, also by taking it over', async () => {
      const claim = await arrive({ will: delayed })
      await here.leave(claim, atOnce)
      const second = await arriveAt(there, arrival({ will: delayed }))
      expect(second.former).toBeUndefined()
      expect((await arriveAt(here, arrival())).former).toBeUndefined()
      await under.advance(600_000)
      expect(await here.takeDue()).toEqual([])
    })

    test('is handed to a clean start, which ends the session', async () => {
      const claim = await arrive({ will: delayed })
      await here.leave(claim, atOnce)
      expect((await arriveAt(there, arrival({ isCleanStart: true }))).former).toMatchObject({
        epoch: claim.epoch,
      })
    })

    test('waits apart from those of other ids and organizations', async () => {
      const organizations: OrganizationId[] = [anOrganizationId, anotherOrganizationId]
      for (const [index, organization] of organizations.entries()) {
        for (const name of ['a', 'b']) {
          const will = aWill({ delaySeconds: 10 + index * 10 })
          await here.leave(await arrive({ organization, id: `user:ada/${name}`, will }), atOnce)
        }
      }
      await under.advance(11_000)
      const first = await there.takeDue()
      expect(names(first).sort()).toEqual(['user:ada/a', 'user:ada/b'])
      for (const will of first) await there.settle(will)
      await under.advance(10_000)
      expect((await there.takeDue()).map(({ organization }) => organization)).toEqual([
        anotherOrganizationId,
        anotherOrganizationId,
      ])
    })
  })

  describe('a will whose replica goes', () => {
    const deferred = { publish: true, atMostSeconds: 3_600, atLeastSeconds: 15 } as const

    test.each([
      ['without a delay', 0, 15],
      ['with a shorter one', 10, 15],
      ['with a longer one', 60, 60],
    ])('%s waits for its client, and is then due once', async (_name, delaySeconds, dueSeconds) => {
      const will = aWill({ delaySeconds })
      const claim = await arrive({ will })
      expect(await here.leave(claim, deferred)).toBeUndefined()
      await under.advance((dueSeconds - 1) * 1_000)
      expect(await there.takeDue()).toEqual([])
      await under.advance(2_000)
      const due = await there.takeDue()
      expect(due).toMatchObject([{ id, epoch: claim.epoch, will }])
      await there.settle(due[0] as DueWill)
      await under.advance(60_000)
      expect(await here.takeDue()).toEqual([])
    })

    test.each([true, false])(
      'is dropped when its client comes back, with a clean start: %s',
      async (isCleanStart) => {
        await here.leave(await arrive({ will: aWill() }), deferred)
        expect((await arriveAt(there, arrival({ isCleanStart }))).former).toBeUndefined()
        await under.advance(60_000)
        expect(await there.takeDue()).toEqual([])
      },
    )

    test('waits also where the session ends with its connection', async () => {
      const claim = await arrive({ will: aWill() })
      expect(await here.leave(claim, { ...deferred, atMostSeconds: 0 })).toBeUndefined()
      await under.advance(16_000)
      expect(await there.takeDue()).toMatchObject([{ id }])
    })

    test('is handed out at once where nothing is to wait for', async () => {
      const claim = await arrive({ will: aWill() })
      expect(await here.leave(claim, { ...deferred, atLeastSeconds: 0 })).toMatchObject({ id })
    })
  })

  test('what is confirmed again is as it was, and what ended stays ended', async () => {
    const claim = await arrive({ will: aWill() })
    expect(await here.confirm(claim)).toBe(true)
    const due = await here.leave(claim, atOnce)
    expect(due).toMatchObject({ attempts: 1, will: aWill() })
    await here.settle(due as DueWill)
    expect(await here.leave(claim, atOnce)).toBeUndefined()
  })
}
