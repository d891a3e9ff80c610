import { Check } from 'typebox/value'
import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import type { AuditLevel } from '#core/audit/audit.ts'
import { type AuditEvent, auditEvents } from '#core/audit/audit-event.ts'
import { createAuditLines } from '#core/audit/audit-lines.ts'
import { capturingAudit } from '../../fixtures/audit.ts'
import { eventually } from '../../fixtures/eventually.ts'

const minute = 60_000

function world(level: AuditLevel = 'all') {
  let now = 0
  return { ...capturingAudit(() => now, level), pass: (ms: number) => void (now += ms) }
}

const refused = (over: Partial<AuditEvent> = {}): AuditEvent =>
  ({
    event: 'client.refused',
    organization: 'org_a',
    address: '192.0.2.1',
    username: 'sensor_01@org_a',
    reason: 'wrong-password',
    ...over,
  }) as AuditEvent

const connected = { event: 'client.connected', organization: 'org_a', clientId: 'c1' } as const

describe('an audit', () => {
  test('writes down and counts every event', async () => {
    const { audit, lines, counted } = world()
    audit.record(connected)
    audit.record(refused())
    expect(lines).toEqual([connected, refused()])
    expect(await counted()).toEqual({
      'client.connected success org_a': 1,
      'client.refused wrong-password org_a': 1,
    })
  })

  test.each([
    ['refusals', ['client.refused']],
    ['off', []],
  ] as const)('of the level %s still counts all of them', async (level, written) => {
    const { audit, lines, counted } = world(level)
    audit.record(connected)
    audit.record(refused())
    expect(lines.map(({ event }) => event)).toEqual(written)
    expect(Object.keys(await counted())).toHaveLength(2)
  })

  test('has labels for so many organizations, and none for what belongs to none', async () => {
    const { audit, counted } = world('off')
    audit.record(refused({ organization: undefined }))
    for (let number = 0; number < 300; number += 1) audit.record(refused({ organization: `org_${number}` }))
    const labels = new Set(Object.keys(await counted()).map((key) => key.split(' ')[2]))
    expect(labels.size).toBe(202)
    expect(labels).toContain('none')
    expect((await counted())['client.refused wrong-password other']).toBe(100)
  })

  test('counts without a line what somebody else has decided to leave out', async () => {
    const { audit, lines, counted } = world()
    audit.count('client.refused', 'wrong-password', 'org_a')
    expect(lines).toEqual([])
    expect(await counted()).toEqual({ 'client.refused wrong-password org_a': 1 })
  })
})

describe('a flood of refusals', () => {
  test('is ten lines a minute, then one with the number of the others', async () => {
    const { audit, lines, pass, counted } = world()
    for (let time = 0; time < 1_000; time += 1) audit.record(refused({ username: `user_${time}@org_a` }))
    expect(lines).toHaveLength(10)
    pass(minute)
    audit.record(refused())
    expect(lines.slice(10)).toEqual([
      {
        event: 'client.refused',
        organization: 'org_a',
        address: '192.0.2.1',
        reason: 'wrong-password',
        omitted: 990,
      },
      refused(),
    ])
    expect(await counted()).toEqual({ 'client.refused wrong-password org_a': 1_001 })
  })

  test('from one address hides neither another one, nor another reason, nor another organization', () => {
    const { audit, lines } = world()
    for (let time = 0; time < 100; time += 1) audit.record(refused())
    const others = [
      refused({ address: '192.0.2.2' }),
      refused({ reason: 'unknown-user' }),
      refused({ organization: 'org_b' }),
    ]
    for (const other of others) audit.record(other)
    expect(lines.slice(10)).toEqual(others)
  })

  test('from many addresses is two hundred lines of the organization, and names no address', () => {
    const { audit, lines, pass } = world()
    for (let time = 0; time < 1_000; time += 1) {
      audit.record(refused({ address: `192.0.${time >> 8}.${time & 255}` }))
    }
    audit.record(refused({ organization: 'org_b' }))
    expect(lines).toHaveLength(201)
    pass(minute)
    audit.flush()
    expect(lines.slice(201)).toEqual([
      { event: 'client.refused', organization: 'org_a', reason: 'wrong-password', omitted: 800 },
    ])
  })

  test('from the addresses of one IPv6 network is one of one address', () => {
    const { audit, lines } = world()
    for (let time = 0; time < 100; time += 1) audit.record(refused({ address: `2001:db8::${time}` }))
    expect(lines).toHaveLength(10)
  })

  test('does not touch what is no refusal', () => {
    const { audit, lines } = world()
    for (let time = 0; time < 1_000; time += 1) audit.record(connected)
    expect(lines).toHaveLength(1_000)
  })
})

describe('a line', () => {
  test('says which program wrote it, when, and by which version of the contract', async () => {
    const written: string[] = []
    const write = createAuditLines('broker', new Registry(), (bytes) => {
      written.push(bytes.toString())
      return bytes.length
    })
    const odd = 'a\r\n\u001b[31m"\ud800'
    write({ ...connected, clientId: odd, principal: undefined }, auditEvents['client.connected'].message)
    await eventually('it is written', () => written.length === 1)
    expect(written[0]).toMatch(/^[^\r\n\u001b]+\n$/)
    expect(JSON.parse(written[0] ?? '')).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/),
      program: 'broker',
      audit: 1,
      event: 'client.connected',
      organization: 'org_a',
      clientId: odd,
      msg: 'a client was let in',
    })
  })
})

test('no event has a field for a secret', () => {
  const names = Object.values(auditEvents).flatMap(({ fields }) => Object.keys(fields.properties))
  // The id of a token (jti) opens nothing.
  const forbidden = /password|token(?!Id$)|secret|verifier|authorization|payload|^key$/i
  expect(names.filter((name) => forbidden.test(name))).toEqual([])
  expect(Check(auditEvents['client.connected'].fields, { password: 'x' })).toBe(false)
})
