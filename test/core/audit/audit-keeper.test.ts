import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createAudit } from '#core/audit/audit.ts'
import { type AuditEvent, type AuditNature, auditNatures } from '#core/audit/audit-event.ts'
import { AuditKeeper } from '#core/audit/audit-keeper.ts'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { AuditTrail, KeptEvent } from '#core/stores/audit-trail.ts'
import { MemoryAuditTrail } from '#core/stores/memory-audit-trail.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../../fixtures/records.ts'

const at = Date.parse('2026-11-25T08:00:00.000Z')
const login: AuditEvent = { event: 'client.connected', organization: org, clientId: 'web-1' }
const end: AuditEvent = { event: 'client.revoked', organization: org, clientId: 'web-1' }

let trail: MemoryAuditTrail
let registry: Registry

beforeEach(() => {
  vi.useFakeTimers({ now: at })
  trail = new MemoryAuditTrail({ events: 5_000, hours: 1 }, () => Date.now())
  registry = new Registry()
})
afterEach(() => vi.useRealTimers())

const keeperOn = (of: Pick<AuditTrail, 'append'>): AuditKeeper =>
  new AuditKeeper({ program: 'broker', trail: { ...of, read: trail.read }, now: () => Date.now(), registry })
const appending = (append: AuditTrail['append']): AuditKeeper => keeperOn({ append })
const storing = (): AuditKeeper => appending((...given) => trail.append(...given))

async function kept(organization: OrganizationId = org): Promise<readonly KeptEvent[]> {
  const { events } = await trail.read(organization, { natures: auditNatures, limit: 10_000 })
  return events.map(({ event }) => event)
}
const lost = async (): Promise<string> =>
  (await registry.metrics())
    .split('\n')
    .filter((line) => line.startsWith('cloudsignal_audit_events_not_kept_total'))
    .join(' ')

describe('what is audited is kept', () => {
  test('a moment later, with its time and program, each in its organization', async () => {
    const keeper = storing()
    keeper.keep(login)
    keeper.keep({ ...end, organization: anotherOrganizationId })
    expect(await kept()).toEqual([])
    await vi.advanceTimersByTimeAsync(500)
    expect(await kept()).toEqual([{ ...login, time: '2026-11-25T08:00:00.000Z', program: 'broker' }])
    expect(await kept(anotherOrganizationId)).toMatchObject([{ event: 'client.revoked' }])
  })

  test('of a moment in one step for each organization and nature', async () => {
    const steps: [OrganizationId, AuditNature, number][] = []
    const keeper = appending(async (...[organization, nature, events]) => {
      steps.push([organization, nature, events.length])
    })
    for (const event of [login, login, end, login]) keeper.keep(event)
    await vi.advanceTimersByTimeAsync(500)
    expect(steps).toEqual([
      [org, 'routine', 3],
      [org, 'ending', 1],
    ])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(steps).toHaveLength(2)
  })

  test('when it ends, without waiting', async () => {
    const keeper = storing()
    keeper.keep(end)
    await keeper.flush()
    expect(await kept()).toHaveLength(1)
  })

  test('not where it belongs to no organization', async () => {
    const keeper = storing()
    keeper.keep({ event: 'client.refused', reason: 'unknown-organization' })
    await keeper.flush()
    expect(await kept()).toEqual([])
  })

  test('as far as it is written down: a flood is a few lines here too', async () => {
    const keeper = storing()
    const lines: AuditEvent[] = []
    const audit = createAudit({
      level: 'refusals',
      write: (event) => void lines.push(event),
      keep: (event) => keeper.keep(event),
      registry: new Registry(),
      now: () => Date.now(),
    })
    audit.record(login)
    const wrong = { event: 'client.refused', organization: org, reason: 'wrong-password' } as const
    for (let index = 0; index < 50; index += 1) audit.record({ ...wrong, address: '192.0.2.1' })
    audit.flush()
    await keeper.flush()
    const events = await kept()
    expect(events).toHaveLength(11)
    const expected = lines.map((line) => ({ ...line, time: expect.any(String), program: 'broker' }))
    expect(events.toReversed()).toEqual(expected)
    expect(events[0]).toMatchObject({ omitted: 40 })
  })
})

describe('a storm', () => {
  test('of logins is kept in part, and does not displace what ended', async () => {
    const keeper = storing()
    for (let index = 0; index < 1_000; index += 1) keeper.keep(login)
    keeper.keep(end)
    await vi.advanceTimersByTimeAsync(500)
    const events = await kept()
    expect(events.filter(({ event }) => event === 'client.connected')).toHaveLength(200)
    expect(events.filter(({ event }) => event === 'client.revoked')).toHaveLength(1)
    expect(await lost()).toContain('{cause="too-many"} 800')
    keeper.keep(login)
    await keeper.flush()
    expect(await kept()).toHaveLength(202)
  })

  test('meets a store that is slow with one question at a time', async () => {
    let underWay = 0
    let most = 0
    const gate = Promise.withResolvers<void>()
    const keeper = appending(async () => {
      most = Math.max(most, (underWay += 1))
      await gate.promise
      underWay -= 1
    })
    for (let moment = 0; moment < 5; moment += 1) {
      keeper.keep(login)
      await vi.advanceTimersByTimeAsync(500)
    }
    expect(most).toBe(1)
    gate.resolve()
    await keeper.flush()
  })
})

test('a store that is away costs the events, is counted, and disturbs nobody', async () => {
  let isAway = true
  const keeper = appending(async (...given) => {
    if (isAway) throw new DomainError('store-unavailable', 'Redis did not answer')
    await trail.append(...given)
  })
  keeper.keep(login)
  keeper.keep(login)
  await keeper.flush()
  isAway = false
  keeper.keep(end)
  await keeper.flush()
  expect(await kept()).toMatchObject([{ event: 'client.revoked' }])
  expect(await lost()).toContain('{cause="unavailable"} 2')
})
