import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { type AuditEvent, auditNatures } from '#core/audit/audit-event.ts'
import { createKeptAudit } from '#core/audit/kept-audit.ts'
import type { AuditTrail } from '#core/stores/audit-trail.ts'
import { MemoryAuditTrail } from '#core/stores/memory-audit-trail.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

const refused: AuditEvent = {
  event: 'client.refused',
  organization: org,
  address: '192.0.2.1',
  reason: 'wrong-password',
}

function floodOf(times: number, trail: AuditTrail | undefined) {
  const lines: AuditEvent[] = []
  const audit = createKeptAudit('standalone', trail, {
    level: 'all',
    write: (event) => lines.push(event),
    registry: new Registry(),
    now: Date.now,
  })
  for (let time = 0; time < times; time += 1) audit.record(refused)
  return { audit, lines }
}

test('what is held back of a flood is written, and kept, when the audit is closed', async () => {
  const trail = new MemoryAuditTrail({ events: 100, hours: 1 }, Date.now)
  const { audit, lines } = floodOf(30, trail)
  expect(lines).toHaveLength(10)
  await audit.close()
  expect(lines[10]).toMatchObject({ event: 'client.refused', omitted: 20 })
  const { events } = await trail.read(org, { natures: auditNatures, limit: 100 })
  expect(events).toHaveLength(11)
  const omitted = expect.objectContaining({ omitted: 20, program: 'standalone' })
  expect(events.map(({ event }) => event)).toContainEqual(omitted)
})

test('without a trail it is written all the same', async () => {
  const { audit, lines } = floodOf(11, undefined)
  await audit.close()
  expect(lines).toHaveLength(11)
})
