import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import { type AuditEvent, auditEvents, type AuditEventName, auditVersion } from '#core/audit/audit-event.ts'
import { verifierOfChosen } from '#core/credentials/verifier.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { asWritten } from '../fixtures/audit.ts'
import { allow, connectClient, useClients, everything, type TestClient } from '../fixtures/broker.ts'
import type { Replica } from '../fixtures/broker-process.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import type { TestCertificate } from '../fixtures/certificates.ts'
import { durationsOf, evenEnough } from '../fixtures/durations.ts'
import { eventually } from '../fixtures/eventually.ts'
import {
  aCredential,
  anOrganization,
  anOrganizationId as org,
  anotherOrganizationId as otherOrg,
} from '../fixtures/records.ts'
import { putOrganization, putUser } from '../fixtures/stored-users.ts'

/** Attack classes that have to hold between replicas: rights that end, names that are others', credentials used again. */
let place: BrokerReplicas
let redis: Redis
let identities: RedisIdentityStore
let credentials: RedisCredentialStore
let certificate: TestCertificate
let replicas: readonly Replica[]

beforeAll(async () => {
  place = await startBrokerReplicas()
  ;({ redis, identities, credentials, certificate, replicas } = place)
  for (const each of [org, otherOrg]) {
    await putOrganization(identities, ['ada', 'bob'], each)
  }
  await identities.markReady()
})

const connectTo = useClients()

afterAll(() => place?.stop())

const addUser = (
  local: string,
  rules: readonly AccessRule[],
  over: Partial<UserRecord> = {},
): Promise<void> => putUser(identities, local, rules, over)

async function addCredential(local: string, ttlSeconds = 60): Promise<void> {
  const access = { ...emptyPolicy, rules: [...everything] }
  await credentials.create(org, local, aCredential(local, `${local}-password`, { access }), ttlSeconds)
}

type Options = NonNullable<Parameters<typeof connectClient>[2]>

async function connect(index: number, local: string, options: Options = {}): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${replicas[index]?.mqtts}`
  return connectTo(url, local, { ca: certificate.cert, ...options })
}

const codeOf = (index: number, local: string, options: Options = {}): Promise<unknown> =>
  connect(index, local, options).then(
    () => 0,
    (error: { code?: unknown }) => error.code,
  )

const payloads = ({ received }: TestClient): string[] => received.map(({ payload }) => payload)
const both = [0, 1] as const

describe('a right that ends', () => {
  test('takes back nothing that was retained while it was there, but gives nobody else a right to read it', async () => {
    await addUser('writer', [allow(['publish'], 'kept/#')])
    await addUser('reader', [allow(['subscribe'], 'kept/#')])
    await addUser('stranger', [allow(['subscribe'], 'other/#')])
    const writer = await connect(0, 'writer', { protocolVersion: 5 })
    const write = (topic: string, retain: boolean): Promise<unknown> =>
      writer.mqtt.publishAsync(topic, topic, { qos: 1, retain })
    await write('kept/before', true)
    await addUser('writer', [])
    await eventually('the right has ended', () =>
      write('kept/probe', false).then(
        () => false,
        () => true,
      ),
    )
    await expect(write('kept/after', true)).rejects.toThrow()
    for (const index of both) {
      const [reader, stranger] = [await connect(index, 'reader'), await connect(index, 'stranger')]
      await expect(stranger.mqtt.subscribeAsync('kept/#')).rejects.toThrow()
      await reader.mqtt.subscribeAsync('kept/#')
      await eventually('the reader has it', () => reader.received.length > 0)
      expect([payloads(reader), payloads(stranger)]).toEqual([['kept/before'], []])
    }
  })

  test('ends on both replicas within a second, for who was subscribed and for who publishes', async () => {
    await addUser('listener', [allow(['subscribe'], 'feed')])
    await addUser('speaker', [allow(['publish'], 'feed')])
    const listeners = [await connect(0, 'listener'), await connect(1, 'listener')]
    const [speaker, ada] = [await connect(1, 'speaker'), await connect(0, 'ada')]
    for (const listener of listeners) await listener.mqtt.subscribeAsync('feed')
    await ada.mqtt.subscribeAsync('feed')
    let [sent, spoken] = [0, 0]
    const sending = setInterval(() => {
      void ada.mqtt.publishAsync('feed', `ada ${(sent += 1)}`)
      void speaker.mqtt.publishAsync('feed', `speaker ${(spoken += 1)}`)
    }, 20)
    const last = (client: TestClient, who: string): number =>
      Number(
        payloads(client)
          .findLast((text) => text.startsWith(who))
          ?.split(' ')[1] ?? 0,
      )
    await eventually('messages flow', () => listeners.every((each) => last(each, 'speaker') > 5))
    await addUser('listener', [])
    await addUser('speaker', [])
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const [sentAtEnd, spokenAtEnd] = [sent, spoken]
    await eventually('as much again is sent', () => sent > sentAtEnd + 25)
    clearInterval(sending)
    for (const listener of listeners) expect(last(listener, 'ada')).toBeLessThanOrEqual(sentAtEnd)
    expect(last(ada, 'speaker')).toBeLessThanOrEqual(spokenAtEnd)
    // Nobody else has lost anything.
    await eventually('ada hears herself', () => last(ada, 'ada') > sentAtEnd)
  })

  test('with the time of its credential ends the connection within two seconds, however quiet it is', async () => {
    await addCredential('tmp_short', 2)
    const quiet = [await connect(0, 'tmp_short'), await connect(1, 'tmp_short')]
    const begin = performance.now()
    await eventually('both are closed', () => quiet.every((client) => client.closed()))
    expect(performance.now() - begin).toBeLessThan(4_000)
  })
})

describe('the client id of somebody else', () => {
  test.each([
    ['another user, with its session', 'bob', org, false],
    ['another user, from the beginning', 'bob', org, true],
    ['the same name in another organization', 'ada', otherOrg, false],
    ['the same name in another organization, from the beginning', 'ada', otherOrg, true],
  ] as const)('takes nothing over on either replica: %s', async (_who, local, organization, clean) => {
    const clientId = `shared-${local}-${clean}`
    const victim = await connect(0, 'ada', { clientId, clean: false })
    await victim.mqtt.subscribeAsync('inbox', { qos: 1 })
    await victim.end()
    const sender = await connect(1, 'ada')
    await sender.mqtt.publishAsync('inbox', 'waiting', { qos: 1 })
    for (const index of both) {
      const thief = await connect(index, local, { clientId, clean, organization })
      // At most a session of its own, from the time before.
      expect(thief.sessionPresent).toBe(index === 1 && !clean)
      await thief.mqtt.publishAsync('inbox/none', 'x', { qos: 1 })
      expect(thief.received).toEqual([])
    }
    const again = await connect(1, 'ada', { clientId, clean: false })
    expect(again.sessionPresent).toBe(true)
    await eventually('what waited is there', () => payloads(again).includes('waiting'))
    const thief = await connect(0, local, { clientId, clean, organization })
    await again.mqtt.publishAsync('inbox', 'still there', { qos: 1 })
    await eventually('it is still connected', () => payloads(again).includes('still there'))
    expect([again.closed(), thief.received]).toEqual([false, []])
  })
})

describe('names that mean something elsewhere', () => {
  /** To Redis, to globs, to scripts, to JavaScript, to topics, to our own keys. */
  const hostile = [
    '*',
    '?[x]',
    'a:b',
    '{org_aaaabbbbcccc}',
    'x:offlineCount',
    'user:ada/x',
    '../x',
    '%2F',
    '"; FLUSHALL; "',
    '__proto__',
    'constructor',
    'toString',
  ]

  test.each(['+', '#', 'a/#', '+/x', '*'])('the client id %j in a rule opens nothing', async (clientId) => {
    await addUser('eve', [allow(['publish', 'subscribe'], 'clients/{client_id}/#')])
    for (const index of both) {
      const eve = await connect(index, 'eve', { clientId })
      for (const filter of ['clients/victim/#', 'clients/+/#', 'clients/#', '#']) {
        await expect(eve.mqtt.subscribeAsync(filter)).rejects.toThrow()
      }
      await eve.end()
    }
  })

  test('as client ids have each its own session, on whichever replica it goes on', async () => {
    const names = ['plain', ...hostile]
    for (const [number, clientId] of names.entries()) {
      const client = await connect(0, 'ada', { clientId, clean: false })
      expect(client.sessionPresent).toBe(false)
      await client.mqtt.subscribeAsync(`own/${number}`, { qos: 1 })
      await client.end()
    }
    const sender = await connect(0, 'bob')
    for (const number of names.keys())
      await sender.mqtt.publishAsync(`own/${number}`, String(number), { qos: 1 })
    for (const [number, clientId] of names.entries()) {
      const client = await connect(1, 'ada', { clientId, clean: false })
      expect(client.sessionPresent).toBe(true)
      await eventually('its message is there', () => client.received.length > 0)
      expect(payloads(client)).toEqual([String(number)])
      await client.end()
    }
  })

  test('as topics, retained and live, are topics', async () => {
    const reader = await connect(1, 'bob')
    await reader.mqtt.subscribeAsync('odd/#', { qos: 1 })
    const writer = await connect(0, 'ada')
    // `#` and `+` alone may not stand in a topic.
    for (const name of hostile) await writer.mqtt.publishAsync(`odd/${name}`, name, { qos: 1, retain: true })
    await eventually('all arrive', () => reader.received.length === hostile.length)
    const late = await connect(1, 'bob', { clientId: 'late' })
    for (const name of hostile) await late.mqtt.subscribeAsync(`odd/${name}`, { qos: 1 })
    await eventually('all are retained', () => late.received.length === hostile.length)
    expect(late.received.map(({ topic, payload }) => topic === `odd/${payload}`)).not.toContain(false)
    await writer.mqtt.publishAsync(`odd/*`, '', { qos: 1, retain: true })
    const later = await connect(0, 'bob', { clientId: 'later' })
    await later.mqtt.subscribeAsync('odd/#', { qos: 1 })
    await eventually('the others are there', () => later.received.length === hostile.length - 1)
  })

  test('as usernames are nobody, and every key of Redis stays where it belongs', async () => {
    const names = [...hostile, 'ada\u2028', '', '.']
    for (const index of both) {
      const codes = await Promise.all(names.map((local) => codeOf(index, local)))
      expect(new Set(codes)).toEqual(new Set([4]))
    }
    const foreign = (await redis.keys('*')).filter(
      (key) => !/^cs:\{(org_[a-z2-7]{12}|all)\}:((id|tmp|mq):|control$)/.test(key),
    )
    expect(foreign).toEqual([])
  })
})

describe('a credential that is used again', () => {
  const ends: readonly (readonly [string, string, () => Promise<unknown>, number])[] = [
    ['after it was revoked', 'tmp_revoked', () => credentials.revoke(org, 'tmp_revoked'), 4],
    [
      'after a revocation of its person',
      'tmp_behind',
      () => credentials.raiseBarrier(org, 'principal:sub:somebody'),
      4,
    ],
    ['after its user was deleted', 'gone', () => identities.remove('user', org, 'gone'), 4],
    ['after its user was suspended', 'held', () => addUser('held', everything, { suspended: true }), 5],
    [
      'after its organization was suspended',
      'tmp_suspended',
      () => identities.put('organization', org, 'organization', anOrganization({ suspended: true })),
      5,
    ],
  ]
  test.each(ends)(
    '%s is refused on both replicas, and its connections end',
    async (_when, local, end, code) => {
      if (local.startsWith('tmp_')) await addCredential(local)
      else await addUser(local, everything)
      const live = [await connect(0, local), await connect(1, local), await connect(1, local)]
      await end()
      for (const index of both) expect(await codeOf(index, local)).toBe(code)
      await eventually('its connections are closed', () => live.every((client) => client.closed()))
      await identities.put('organization', org, 'organization', anOrganization())
    },
  )
})

test('nobody learns from the answer or from its time who is there, on either replica', async () => {
  await addUser('human', everything, { verifiers: [{ verifier: await verifierOfChosen('secret') }] })
  const kinds: readonly (readonly [string, Options])[] = [
    ['ada', {}],
    ['human', {}],
    ['nobody', {}],
    ['tmp_nobody', {}],
    ['ada', { organization: 'org_222222222222' }],
  ]
  const { ratio } = await durationsOf(
    kinds.map(([local, options]) => async (round) => {
      expect(await codeOf(round % 2, local, { ...options, password: 'wrong' })).toBe(4)
    }),
  )
  expect(ratio).toBeLessThan(evenEnough)
})

test('all of this stands in the audit of the replicas, as its contract says and without a secret', async () => {
  const lines = replicas
    .flatMap(({ program }) => program.output().trim().split('\n'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ audit }) => audit === auditVersion)
  const frame = ['level', 'time', 'program', 'audit', 'msg']
  const events = lines.map((line) => {
    const event = Object.fromEntries(Object.entries(line).filter(([name]) => !frame.includes(name)))
    const { program, msg } = line
    expect({ program, msg }).toEqual({
      program: 'broker',
      msg: auditEvents[event['event'] as AuditEventName].message,
    })
    return asWritten(event as unknown as AuditEvent)
  })
  const reasons = events.map((event) => ('reason' in event ? `${event.event} ${event.reason}` : event.event))
  for (const reason of [
    'client.connected',
    'client.expired',
    'client.revoked',
    'client.refused wrong-password',
    'client.refused unknown-user',
    'client.refused unknown-credential',
    'client.refused unknown-organization',
    'client.refused malformed-username',
    'client.refused user-suspended',
    'client.refused organization-suspended',
    'access.denied no-rule',
  ]) {
    expect(reasons).toContain(reason)
  }
  expect(/(?<!wrong)-password"|"secret"/.test(JSON.stringify(lines))).toBe(false)
})
