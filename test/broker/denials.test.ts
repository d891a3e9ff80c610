import type { IClientOptions } from 'mqtt'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentAudit } from '#core/audit/audit.ts'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import type { Refused } from '#core/access/verdict.ts'
import { resolveAccess, emptyPolicy } from '#core/access/access-policy.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Admission } from '../../broker/admission/admission.ts'
import type { AuditedClient, Peer } from '../../broker/audit/audited-client.ts'
import { type Denial, Denials } from '../../broker/denials.ts'
import { createBrokerMetrics } from '../../broker/metrics.ts'
import { type CapturingAudit, capturingAudit } from '../fixtures/audit.ts'
import {
  allow,
  connectClient,
  deny,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'

const denied = 'access.denied'
const peer = { transport: { remoteAddress: '192.0.2.1', listener: 'mqtts' }, version: 5 } as Peer

describe('what is denied', () => {
  let now: number
  let counted: string[]
  let lines: AuditEvent[]
  let isWritten: boolean
  let denials: Denials

  beforeEach(() => {
    now = 1_700_000_000_000
    counted = []
    lines = []
    isWritten = true
    const record = (event: AuditEvent): boolean => {
      if (isWritten) lines.push(JSON.parse(JSON.stringify(event)) as AuditEvent)
      return isWritten
    }
    const audit = { ...silentAudit, record }
    const metrics = {
      denied: (action: string, organization: string) => void counted.push(`${organization} ${action}`),
    }
    denials = new Denials({ metrics, audit, now: () => now })
  })

  const admission = (organizationId: OrganizationId = org, local = 'ada'): Admission => ({
    organizationId,
    organization: anOrganization(),
    principal: `user:${local}`,
    source: { type: 'user', name: local },
    uid: 'uid',
    proof: { verifier: { algorithm: 'sha256', digest: '' } },
    attributes: {},
    policy: emptyPolicy,
    access: resolveAccess(emptyPolicy, [], new Map(), {}),
    barriers: [],
    connections: {},
    rates: {},
  })
  const verdict: Refused = { allowed: false, reason: 'deny-rule', rule: { list: 'people', index: 1 } }
  const report = (over: Partial<Denial & AuditedClient> = {}): void => {
    const { admission: as = admission(), clientId = 'c', ...denial } = over
    const client = { admission: as, clientId }
    denials.report(peer, client, { action: 'publish', topic: 'a', verdict, ...denial })
  }

  test('is counted every time and logged once for a client and a rule, with the rule', () => {
    for (let time = 0; time < 3; time += 1) report({ topic: `a/${time}` })
    expect(counted).toEqual([`${org} publish`, `${org} publish`, `${org} publish`])
    expect(lines).toEqual([
      {
        event: denied,
        organization: org,
        username: `ada@${org}`,
        principal: 'user:ada',
        clientId: 'c',
        address: '192.0.2.1',
        protocol: 'mqtts',
        version: '5',
        action: 'publish',
        topic: 'a/0',
        reason: 'deny-rule',
        list: 'people',
        rule: 1,
      },
    ])
  })

  test('is logged again for another client, user, action, reason, list or rule', () => {
    const others: Partial<Denial & AuditedClient>[] = [
      {},
      { clientId: 'd' },
      { admission: admission(org, 'bob') },
      { admission: admission(anotherOrganizationId) },
      { action: 'subscribe' },
      { verdict: { allowed: false, reason: 'no-rule' } },
      { verdict: { allowed: false, reason: 'deny-rule', rule: { list: 'people', index: 2 } } },
      { verdict: { allowed: false, reason: 'deny-rule', rule: { list: 'devices', index: 1 } } },
    ]
    for (const over of [...others, ...others]) report(over)
    expect(lines).toHaveLength(others.length)
  })

  test('is logged again after an hour, not before', () => {
    report()
    now += 3_599_000
    report()
    expect(lines).toHaveLength(1)
    now += 1_000
    report()
    expect(lines).toHaveLength(2)
  })

  test('is tried again where the audit left it out', () => {
    isWritten = false
    report()
    isWritten = true
    report()
    report()
    expect(lines).toHaveLength(1)
    expect(counted).toHaveLength(3)
  })

  test('takes no more memory than so many clients and rules', () => {
    const of = (index: number): OrganizationId => `org_${String(index).padStart(12, '0')}` as OrganizationId
    for (let index = 0; index <= 50_000; index += 1) report({ admission: admission(of(index)) })
    expect(lines).toHaveLength(50_001)
    // The first ones are forgotten by now.
    report({ admission: admission(of(0)), clientId: 'd' })
    report({ admission: admission(of(0)) })
    expect(lines).toHaveLength(50_003)
  })

  test('is shown with the beginning of a long topic', () => {
    report({ topic: 'x'.repeat(60_000) })
    expect((lines[0] as { topic?: string }).topic).toHaveLength(256)
  })
})

test('two hundred organizations are counted by name, all others together', async () => {
  const registry = new Registry()
  const metrics = createBrokerMetrics(registry)
  for (let index = 0; index < 300; index += 1) {
    metrics.denied('publish', `org_${index}` as OrganizationId)
    metrics.denied('subscribe', `org_${index}` as OrganizationId)
  }
  metrics.denied('publish', 'org_0' as OrganizationId)
  const text = (await registry.metrics()).split('\n').filter((line) => line.includes('denied_total{'))
  expect(text).toHaveLength(402)
  expect(text).toContain('cloudsignal_broker_denied_total{organization="org_0",action="publish"} 2')
  expect(text).toContain('cloudsignal_broker_denied_total{organization="other",action="publish"} 100')
  expect(text).not.toContain('org_200')
})

describe('a broker tells', () => {
  let broker: TestBroker
  let registry: Registry
  let capturing: CapturingAudit
  const clients: TestClient[] = []

  beforeEach(async () => {
    registry = new Registry()
    capturing = capturingAudit()
    broker = await startTestBroker({ registry, audit: capturing.audit })
    await broker.addOrganization()
    await setRules('open')
    await broker.addUser('ada', [], { access: { ...emptyPolicy, lists: ['people'] } })
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
    await broker.stop()
  })

  const setRules = (subscribed: string): Promise<boolean> =>
    broker.identities.put('access-list', org, 'people', {
      rules: [
        allow(['publish'], 'own/#'),
        deny(['publish'], 'own/log'),
        allow(['subscribe'], `${subscribed}/#`),
      ],
    })
  const connect = async (options: IClientOptions = {}): Promise<TestClient> => {
    const client = await connectClient(`mqtt://127.0.0.1:${broker.port}`, 'ada', {
      protocolVersion: 5,
      clientId: 'device',
      clean: false,
      properties: { sessionExpiryInterval: 60 },
      ...options,
    })
    clients.push(client)
    return client
  }
  const told = (): AuditEvent[] => capturing.lines.filter(({ event }) => event === denied)
  const count = async (action: string): Promise<number> => {
    const label = `cloudsignal_broker_denied_total{organization="${org}",action="${action}"} `
    const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(label))
    return Number(line?.slice(label.length) ?? 0)
  }

  test('of publishes and subscriptions that it refuses', async () => {
    const ada = await connect()
    for (let time = 0; time < 3; time += 1)
      await ada.mqtt.publishAsync('own/log', 'x', { qos: 1 }).catch(() => {})
    ada.mqtt.publish('foreign', 'x', { qos: 0 })
    await ada.mqtt.subscribeAsync('foreign/#').catch(() => {})
    expect(told()).toMatchObject([
      {
        username: `ada@${org}`,
        address: expect.stringContaining('127.0.0.1'),
        protocol: 'mqtt',
        version: '5',
        clientId: 'device',
        action: 'publish',
        topic: 'own/log',
        reason: 'deny-rule',
        list: 'people',
        rule: 1,
      },
      { action: 'publish', topic: 'foreign', reason: 'no-rule' },
      { action: 'subscribe', topic: 'foreign/#', reason: 'no-rule' },
    ])
    expect([await count('publish'), await count('subscribe')]).toEqual([4, 1])
  })

  test('of nothing that it allows', async () => {
    const ada = await connect({ will: { topic: 'own/x', payload: Buffer.from('x'), qos: 0, retain: false } })
    await ada.mqtt.publishAsync('own/x', 'x', { qos: 1 })
    await ada.mqtt.subscribeAsync('open/#')
    expect(told()).toEqual([])
    expect([await count('publish'), await count('subscribe')]).toEqual([0, 0])
  })

  test('of a will that it refuses', async () => {
    const will = { topic: 'own/log', payload: Buffer.from('x'), qos: 0, retain: false } as const
    await expect(connect({ will })).rejects.toThrow()
    expect(told()).toMatchObject([{ action: 'publish', topic: 'own/log', list: 'people', rule: 1 }])
  })

  test('of subscriptions that an edit takes away, from who is there and from who comes back', async () => {
    const ada = await connect()
    await ada.mqtt.subscribeAsync('open/a')
    await setRules('other')
    await eventually('it is told', () => told().length === 1)
    expect(told()).toMatchObject([{ action: 'subscribe', topic: 'open/a', reason: 'no-rule' }])
    await ada.mqtt.subscribeAsync('other/a')
    await ada.mqtt.endAsync()
    await setRules('open')
    const before = await count('subscribe')
    await connect()
    expect(await count('subscribe')).toBe(before + 1)
  })
})
