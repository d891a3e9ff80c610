import { describe, expect, test } from 'vitest'
import { type AuditNature, auditNatures } from '#core/audit/audit-event.ts'
import type {
  AuditTrail,
  KeptEvent,
  TrailBounds,
  TrailPosition,
  TrailQuery,
} from '#core/stores/audit-trail.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'

export interface TrailUnderTest {
  readonly trail: AuditTrail
  readonly now: () => number
  readonly pass: (ms: number) => Promise<void>
}

/** Every trail runs this. */
export function describeAuditTrail(
  name: string,
  create: (bounds: TrailBounds) => Promise<TrailUnderTest>,
): void {
  const bounds = { events: 1_000, hours: 2 }
  const event = (credential: string): KeptEvent => ({
    event: 'credential.issued',
    credential,
    time: '2026-11-25T08:00:00.000Z',
    program: 'token-service',
  })
  const fill = async (trail: AuditTrail, ...kept: readonly (readonly [AuditNature, string])[]) => {
    for (const [nature, credential] of kept) await trail.append(org, nature, [event(credential)])
  }
  const read = async (trail: AuditTrail, over: Partial<TrailQuery> = {}) => {
    const page = await trail.read(org, { natures: auditNatures, limit: 100, ...over })
    return { ids: page.events.map(({ event }) => ('credential' in event ? event.credential : '')), ...page }
  }

  describe(`${name}:`, () => {
    test('what was appended is there, the latest first, in its organization only', async () => {
      const { trail, pass } = await create(bounds)
      await trail.append(org, 'routine', [event('a'), event('b')])
      await pass(5)
      await trail.append(org, 'ending', [event('c')])
      const page = await read(trail)
      expect(page.ids).toEqual(['c', 'b', 'a'])
      expect(page.events[0]?.event).toEqual(event('c'))
      expect(page).not.toHaveProperty('next')
      const other = await trail.read(anotherOrganizationId, { natures: auditNatures, limit: 100 })
      expect(other).toEqual({ events: [] })
    })

    test('natures that nobody asks for are not read', async () => {
      const { trail, pass } = await create(bounds)
      await fill(trail, ['routine', 'a'])
      await pass(5)
      await fill(trail, ['refusal', 'b'], ['ending', 'c'])
      expect((await read(trail, { natures: ['routine'] })).ids).toEqual(['a'])
      expect((await read(trail, { natures: ['routine', 'refusal'] })).ids).toEqual(['b', 'a'])
      expect((await read(trail, { natures: [] })).ids).toEqual([])
    })

    test('pages have each event once, in the order of one long page', async () => {
      const { trail, pass } = await create(bounds)
      for (let index = 0; index < 20; index += 1) {
        const nature = auditNatures[index % 3] as AuditNature
        // Several in one ms, in one stream and in several.
        await trail.append(org, nature, [event(`${index}a`), event(`${index}b`)])
        if (index % 4 === 0) await pass(3)
      }
      const all = await read(trail)
      expect(new Set(all.ids).size).toBe(40)
      for (const limit of [1, 7, 20, 40]) {
        const found: unknown[] = []
        let before: TrailPosition | undefined
        do {
          const page = await read(trail, { limit, ...(before === undefined ? {} : { before }) })
          expect(page.ids.length).toBeLessThanOrEqual(limit)
          found.push(...page.ids)
          before = page.next
        } while (before !== undefined)
        expect(found).toEqual(all.ids)
      }
      for (const { position } of all.events.slice(0, 5)) {
        const rest = await read(trail, { before: position })
        expect(rest.ids).toEqual(all.ids.slice(all.ids.length - rest.ids.length))
      }
    })

    test('only what came within the times that are asked for is read', async () => {
      const { trail, now, pass } = await create(bounds)
      await fill(trail, ['routine', 'a'])
      await pass(50)
      const between = Math.floor(now())
      await pass(50)
      await fill(trail, ['ending', 'b'])
      expect((await read(trail, { since: between })).ids).toEqual(['b'])
      expect((await read(trail, { until: between })).ids).toEqual(['a'])
      const [latest] = (await read(trail)).events
      const behind = latest === undefined ? {} : { before: latest.position }
      expect((await read(trail, { until: between, ...behind })).ids).toEqual(['a'])
      expect((await read(trail, { since: between, ...behind })).ids).toEqual([])
      expect((await read(trail, { since: Math.floor(now()) + 60_000 })).ids).toEqual([])
    })

    test('beyond so many of a nature the oldest go, and none of another nature', async () => {
      const { trail } = await create({ events: 5, hours: 2 })
      await fill(trail, ['ending', 'kept'])
      for (let index = 0; index < 30; index += 1) {
        const some = Array.from({ length: 10 }, (_, at) => event(String(index * 10 + at)))
        await trail.append(org, 'routine', some)
      }
      const { ids } = await read(trail, { limit: 1_000 })
      expect(ids).toContain('kept')
      expect(ids.filter((id) => id !== 'kept').slice(0, 5)).toEqual(['299', '298', '297', '296', '295'])
      // Of whole nodes of a stream.
      expect(ids.length).toBeLessThanOrEqual(1 + 5 + 100)
    })

    test('what is older than so many hours is gone', async () => {
      const { trail, pass } = await create(bounds)
      await fill(trail, ['routine', 'a'], ['refusal', 'b'])
      await pass(7_190_000)
      expect((await read(trail)).ids).toHaveLength(2)
      await pass(20_000)
      expect((await read(trail)).ids).toEqual([])
      expect((await read(trail, { since: 0 })).ids).toEqual([])
    })
  })
}
