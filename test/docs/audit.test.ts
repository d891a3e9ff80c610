import { readFileSync } from 'node:fs'
import { Errors } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { auditEvents, type AuditEventName, auditVersion, clientRefusals } from '#core/audit/audit-event.ts'
import { endCauses } from '../../broker/connection/end-cause.ts'

const text = readFileSync('docs/audit.md', 'utf8')
const lines = [...text.matchAll(/^```json\n(.*?)^```/gms)]
  .flatMap(([, body = '']) => body.trim().split('\n'))
  .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('docs/audit.md', () => {
  test.each(Object.keys(auditEvents))('shows a line of %s', (name) => {
    expect(lines.map(({ event }) => event)).toContain(name)
  })

  test.each(lines)('shows a line of $event as it is written', (line) => {
    const { level, time, program, audit, msg, event, ...fields } = line
    const { fields: schema, message } = auditEvents[event as AuditEventName]
    expect([...Errors(schema, fields)]).toEqual([])
    expect({ level, audit, msg }).toEqual({ level: 'info', audit: auditVersion, msg: message })
    expect(['broker', 'token-service']).toContain(program)
    expect(new Date(String(time)).toISOString()).toBe(time)
  })

  test('shows an answer of GET /v1/audit, and names each of its filters', () => {
    const { paths } = JSON.parse(readFileSync('docs/openapi.json', 'utf8'))
    const { parameters, responses } = paths['/v1/audit'].get
    const [, body = ''] = /^```json answer\n(.*?)^```/ms.exec(text) ?? []
    const { properties } = responses['200'].content['application/json'].schema
    const { events, ...others } = JSON.parse(body)
    expect(Object.keys(others)).toEqual(Object.keys(properties).filter((name) => name !== 'events'))
    for (const event of events) {
      expect(Object.keys(properties.events.items.properties)).toEqual(
        expect.arrayContaining(Object.keys(event)),
      )
    }
    const names = parameters.map(({ name }: { name: string }) => name)
    expect(names.filter((name: string) => !text.includes(`\`${name}\``))).toEqual([])
  })

  test('names every field', () => {
    const names = new Set(Object.values(auditEvents).flatMap(({ fields }) => Object.keys(fields.properties)))
    // Those of one event stand in its example.
    const shown = new Set(lines.flatMap((line) => Object.keys(line)))
    const named = [...names].filter((name) => text.includes(`\`${name}\``) || shown.has(name))
    expect(named).toEqual([...names])
  })

  test('names every reason for which a client is refused, and for which a connection ends', () => {
    const own = ['taken-over', 'expired', 'revoked', 'refused', 'connect-timeout']
    const ends = Object.keys(endCauses).filter((cause) => !own.includes(cause))
    for (const reason of [...clientRefusals, ...ends]) expect(text).toContain(`\`${reason}\``)
  })
})
