import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recordFingerprint } from '#core/stores/identity-codecs.ts'
import { DomainError } from '#core/errors.ts'
import { apiKeyLookup, generateSecret } from '#core/credentials/secret.ts'
import { silentLog } from '#core/process/logger.ts'
import type { ControlEntry, ControlLogWriter } from '#core/stores/control-log.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys, type RedisKeys } from '#core/stores/redis-keys.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { describeApiKeyUses } from '../../contracts/api-key-uses.ts'
import { describeAuditTrail } from '../../contracts/audit-trail.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { describeMarks } from '../../contracts/marks.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import {
  aCredential,
  anApiKey,
  anOrganization,
  anOrganizationId,
  aProvider,
  aUser,
} from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

let place: ConnectedRedis
let redis: Redis

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

afterAll(async () => {
  await place.stop()
})

const never = (): Promise<number> => new Promise(() => {})

/** Keys of this test's own. */
const freshKeys = (): ReturnType<typeof redisKeys> => redisKeys(randomUUID())

function recordingLog(): { log: ControlEntry[]; writer: ControlLogWriter } {
  const log: ControlEntry[] = []
  return { log, writer: { append: async (entry) => String(log.push(entry)) } }
}

async function withReplicas(...names: string[]): Promise<{ log: RedisControlLog; keys: RedisKeys }> {
  const keys = freshKeys()
  for (const name of names) await redis.zadd(keys.replicas, Date.now() + 60_000, name)
  return { log: new RedisControlLog(redis, keys), keys }
}

describeControlLog('the control log on Redis', async () => (await withReplicas('r1')).log)

describeIdentityStore('the identity store on Redis', async () => {
  const { log, writer } = recordingLog()
  const keys = freshKeys()
  const barriers = new RedisCredentialStore(redis, keys, writer)
  return { store: new RedisIdentityStore(redis, keys, writer), log, barriers }
})

describeCredentialStore('the credential store on Redis', async () => {
  const { log, writer } = recordingLog()
  return {
    store: new RedisCredentialStore(redis, freshKeys(), writer),
    log,
    pass: (ms) => pause(ms),
  }
})

describeApiKeyUses('uses of API keys on Redis', async () => new RedisApiKeyUses(redis, freshKeys()))

describeMarks('marks on Redis', async () => ({
  marks: new RedisMarks(redis, freshKeys()),
  pass: (seconds) => pause(seconds * 1_000),
}))

/** Short times go by, and long ones by the clock alone: what Redis itself forgets is looked at below. */
describeAuditTrail('the audit trail on Redis', async (bounds) => {
  let ahead = 0
  // As the clock of Redis: no whole ms.
  const now = (): number => Date.now() + ahead + 0.25
  return {
    trail: new RedisAuditTrail(redis, freshKeys(), bounds, now),
    now,
    pass: async (ms) => (ms < 1_000 ? pause(ms) : void (ahead += ms)),
  }
})

describeRateLimiter('the rate limiter on Redis', async () => ({
  limiter: new RedisRateLimiter(redis, freshKeys()),
  pass: (ms) => pause(ms),
}))

describe('on Redis', () => {
  test('every bucket of a rate limit expires by itself', async () => {
    const prefix = randomUUID()
    const keys = redisKeys(prefix)
    const limiter = new RedisRateLimiter(redis, keys)
    for (const organization of [org, undefined]) {
      await limiter.take(organization, [{ name: 'key', of: 'a', perMinute: 120 }])
      const ttl = await redis.pttl(keys.rate(organization, 'key:a'))
      expect(ttl).toBeGreaterThan(0)
      expect(ttl).toBeLessThanOrEqual(501)
    }
    await eventually('they are gone', async () => (await redis.keys(`${prefix}:*`)).length === 0)
  })

  const org = anOrganizationId

  test('nothing is issued on the word of a provider whose record is another by now, or gone', async () => {
    const [keys, { writer }] = [freshKeys(), recordingLog()]
    const identities = new RedisIdentityStore(redis, keys, writer)
    const credentials = new RedisCredentialStore(redis, keys, writer)
    const version = async (): Promise<string | undefined> => {
      const found = await identities.get('provider', org, 'clerk')
      return found && identities.versionOf(found)
    }
    const issue = async (known: string | undefined, provider = 'clerk'): Promise<unknown> => {
      const local = `tmp_${randomUUID()}`
      const judgedBy = [{ type: 'provider', name: provider, version: known, readAt: 0 }] as const
      const bounds = { judgedBy, provenAt: Date.now() + 60_000 }
      return credentials.create(org, local, aCredential(local, 'x', { provider }), 60, bounds)
    }
    const changed = { code: 'judge-changed' }
    await identities.put('provider', org, 'clerk', aProvider())
    const first = await version()
    expect(first).toBeDefined()
    await issue(first)
    await expect(issue(first, 'other')).rejects.toMatchObject(changed)
    await expect(issue(undefined)).rejects.toMatchObject(changed)
    await identities.put('provider', org, 'clerk', aProvider({ ttl: 90 }), 'judged-anew')
    await expect(issue(first)).rejects.toMatchObject(changed)
    const second = await version()
    await issue(second)
    await identities.remove('provider', org, 'clerk')
    await expect(issue(second)).rejects.toMatchObject(changed)
  })

  test('nothing is made by an API key whose record is another by now, or gone', async () => {
    const [keys, { writer }] = [freshKeys(), recordingLog()]
    const identities = new RedisIdentityStore(redis, keys, writer)
    const credentials = new RedisCredentialStore(redis, keys, writer)
    const secret = generateSecret('sk')
    await identities.put('api-key', org, 'backend', anApiKey('backend', secret))
    const found = await identities.findApiKey(secret)
    const version = found && identities.versionOf(found.record)
    expect(version).toBeDefined()
    const judgedBy = [{ type: 'api-key', name: 'backend', version, readAt: 0 }] as const
    const issue = (): Promise<unknown> => {
      const local = `tmp_${randomUUID()}`
      const record = aCredential(local, 'x', { kind: 'worker', apiKey: 'backend' })
      return credentials.create(org, local, record, 60, { judgedBy })
    }
    await issue()
    await identities.remove('api-key', org, 'backend')
    await expect(issue()).rejects.toMatchObject({ code: 'judge-changed' })
  })

  test('when a former password was used last is kept for a day longer than the password, and of each user alone', async () => {
    const keys = freshKeys()
    const marks = new RedisFormerPasswordMarks(redis, keys)
    const at = Date.now()
    expect(await marks.lastUse(anOrganizationId, 'ada')).toBeUndefined()
    await marks.mark(anOrganizationId, 'ada', at - 0.4, at + 60_000.7)
    expect(await marks.lastUse(anOrganizationId, 'ada')).toBe(at)
    expect(await marks.lastUse(anOrganizationId, 'bob')).toBeUndefined()
    const left = await redis.pttl(keys.formerPassword(anOrganizationId, 'ada'))
    expect(left).toBeGreaterThan(86_400_000 + 50_000)
    expect(left).toBeLessThan(86_400_000 + 61_000)
  })

  describe('a revocation that a process did not live to tell all of', () => {
    const record = aCredential('tmp_1', 'secret', { principal: 'sub:ada' })
    const interrupted = async (toldBefore: number) => {
      const keys = freshKeys()
      const { log, writer } = recordingLog()
      const store = new RedisCredentialStore(redis, keys, writer)
      await store.create(anOrganizationId, 'tmp_1', record, 60)
      const dying: ControlLogWriter = {
        append: (entry) =>
          log.length < toldBefore ? writer.append(entry) : Promise.reject(new Error('died')),
      }
      const revoking = new RedisCredentialStore(redis, keys, dying).revoke(anOrganizationId, 'tmp_1')
      await expect(revoking).rejects.toThrow('died')
      expect(log.map(({ type }) => type)).toEqual(['credential', 'principal'].slice(0, toldBefore))
      const note = await redis.hget(keys.untold(anOrganizationId), 'tmp_1')
      log.length = 0
      return { store, log, note, untold: keys.untold(anOrganizationId) }
    }

    test.each([0, 1])('after %i entries is told by whoever revokes it again, and once', async (before) => {
      const { store, log, note, untold } = await interrupted(before)
      expect(await redis.ttl(untold)).toBeGreaterThan(3_600)
      const { wasThere, positions } = await store.revoke(anOrganizationId, 'tmp_1')
      expect(wasThere).toBe(true)
      expect(positions).toHaveLength(2)
      expect(log).toMatchObject([
        { type: 'credential', name: 'tmp_1' },
        { type: 'principal', name: note },
      ])
      expect(note).toMatch(/^\d{13} sub:ada$/)
      expect(await redis.exists(untold)).toBe(0)
      expect((await store.revoke(anOrganizationId, 'tmp_1')).wasThere).toBe(false)
    })

    test('is finished by the next one that starts', async () => {
      const { store, log, untold } = await interrupted(1)
      await store.finishRevocations(anOrganizationId)
      expect(log.map(({ type }) => type)).toEqual(['credential', 'principal'])
      await store.finishRevocations(anOrganizationId)
      expect(log).toHaveLength(2)
      expect(await redis.exists(untold)).toBe(0)
    })

    test('ends no session of somebody who has come back meanwhile', async () => {
      const { store, log } = await interrupted(1)
      await store.create(anOrganizationId, 'tmp_2', record, 60)
      await store.finishRevocations(anOrganizationId)
      expect(log.map(({ type }) => type)).toEqual(['credential'])
    })
  })

  test('an audit trail ends by itself, and is trimmed to its hours where more comes', async () => {
    const keys = freshKeys()
    let ahead = 0
    const trail = new RedisAuditTrail(redis, keys, { events: 10, hours: 2 }, () => Date.now() + ahead)
    const event = { event: 'user.deleted', time: '2026-11-25T08:00:00.000Z', program: 'broker' } as const
    await trail.append(anOrganizationId, 'ending', [event])
    const key = keys.audit(anOrganizationId, 'ending')
    expect(await redis.ttl(key)).toBeGreaterThan(7_190)
    expect(await redis.ttl(key)).toBeLessThanOrEqual(7_200)
    ahead = 7_300_000
    await trail.append(anOrganizationId, 'ending', [event])
    // The clock of Redis itself did not move: both are older than the trail believes.
    expect(await redis.xlen(key)).toBe(0)
  })

  test('an audit trail shows what can be read of what is there', async () => {
    const keys = freshKeys()
    const trail = new RedisAuditTrail(redis, keys, { events: 10, hours: 2 }, Date.now)
    const event = { event: 'user.deleted', time: '2026-11-25T08:00:00.000Z', program: 'broker' } as const
    await trail.append(anOrganizationId, 'ending', [event])
    for (const text of ['{', '7', 'null', '{}']) {
      await redis.xadd(keys.audit(anOrganizationId, 'ending'), '*', 'e', text)
    }
    const { events } = await trail.read(anOrganizationId, { natures: ['ending'], limit: 10 })
    expect(events.map((each) => each.event)).toEqual([event])
  })

  test('what is noted of an API key ends by itself, after a month', async () => {
    const keys = freshKeys()
    await new RedisApiKeyUses(redis, keys).note(org, 'uid-1', Date.now())
    const ttl = await redis.pttl(keys.apiKeyUse(org, 'uid-1'))
    expect(Math.round(ttl / 86_400_000)).toBe(30)
  })

  test('a change whose entry could not be appended is told when the write is repeated', async () => {
    const log: ControlEntry[] = []
    let isBroken = true
    const writer: ControlLogWriter = {
      append: async (entry) => {
        if (isBroken) throw new Error('cut')
        return String(log.push(entry))
      },
    }
    const store = new RedisIdentityStore(redis, freshKeys(), writer)
    const record = aUser('ada', 'secret')
    await expect(store.put('user', org, 'ada', record)).rejects.toThrow('cut')
    isBroken = false
    expect(await store.put('user', org, 'ada', record)).toBe(true)
    expect(await store.put('user', org, 'ada', record)).toBe(false)
    expect(log).toEqual([{ type: 'user', organization: org, name: 'ada' }])
  })

  test('an organization that nobody can list and an API key that nobody can find have drifted', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    const [organization, key] = [anOrganization(), anApiKey('backend', generateSecret('sk'))]
    const prints = {
      organization: new Map([['organization', recordFingerprint('organization', organization)]]),
      'api-key': new Map([['backend', recordFingerprint('api-key', key)]]),
    }
    const write = async (): Promise<void> => {
      await store.put('organization', org, 'organization', organization)
      await store.put('api-key', org, 'backend', key)
    }
    await write()
    await redis.del(keys.organizations)
    await redis.hset(keys.apiKeys, key.lookup, `${org} another`)
    expect(await store.drifted('organization', org, prints.organization)).toEqual(['organization'])
    expect(await store.drifted('api-key', org, prints['api-key'])).toEqual(['backend'])
    await redis.hset(keys.identity('api-key', org), 'backend', 'damaged')
    expect(await store.drifted('api-key', org, prints['api-key'])).toEqual(['backend'])
    await write()
    expect(await store.drifted('organization', org, prints.organization)).toEqual([])
    expect(await store.drifted('api-key', org, prints['api-key'])).toEqual([])
  })

  test('drift is found among more records than are asked for at once', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    const names = Array.from({ length: 1_100 }, (_, index) => `list-${index}`)
    await Promise.all(names.map((name) => store.put('access-list', org, name, { rules: [] })))
    const print = recordFingerprint('access-list', { rules: [] })
    await redis.hdel(keys.identity('access-list', org), 'list-0', 'list-499', 'list-500', 'list-1099')
    const drifted = await store.drifted('access-list', org, new Map(names.map((name) => [name, print])))
    expect(drifted).toEqual(['list-0', 'list-499', 'list-500', 'list-1099'])
  })

  test('a damaged API key is written anew and can be removed', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    const [secret, place] = [generateSecret('sk'), keys.identity('api-key', org)]
    await redis.hset(place, 'backend', 'damaged')
    expect(await store.put('api-key', org, 'backend', anApiKey('backend', secret))).toBe(true)
    expect((await store.findApiKey(secret))?.name).toBe('backend')
    await redis.hset(place, 'backend', 'damaged')
    expect(await store.remove('api-key', org, 'backend')).toBe(true)
    expect(await store.findApiKey(secret)).toBeUndefined()
  })

  test('an entry of the control log that can not be read counts as something missed', async () => {
    const keys = freshKeys()
    const log = new RedisControlLog(redis, keys)
    let gaps = 0
    const subscription = await log.follow({ entry: () => {}, gap: () => void (gaps += 1) })
    await redis.xadd(keys.control, '*', 'type', 'unheard-of', 'organization', org, 'name', 'x')
    await eventually('it is noticed', () => gaps === 1)
    await subscription.close()
  })

  describe('whether an entry is applied', () => {
    const doing = { entry: async () => 1, gap() {} }
    const entry = { type: 'organization', organization: org, name: 'organization' } as const

    test('names the replicas that live and have not said so', async () => {
      const { log } = await withReplicas('r1', 'r2', 'r3')
      const [one, two] = [await log.follow(doing, 'r1'), await log.follow({ entry: never, gap() {} }, 'r2')]
      const { ended, missing } = await log.applied([await log.append(entry)], 1_000)
      expect(ended).toBe(1)
      expect(missing.toSorted()).toEqual(['r2', 'r3'])
      // One that never answers is not waited for when it is closed either.
      await Promise.all([one, two].map((subscription) => subscription.close()))
    })

    test('names one whose lease has ended just now, and who may still have clients', async () => {
      const { log, keys } = await withReplicas()
      await redis.zadd(keys.replicas, Date.now() - 1_500, 'cut off')
      await redis.zadd(keys.goneReplicas, Date.now() - 1_500, 'taken for gone')
      const { missing } = await log.applied([await log.append(entry)], 100)
      expect(missing.toSorted()).toEqual(['cut off', 'taken for gone'])
    })

    test('does not ask replicas that are gone for long', async () => {
      const { log, keys } = await withReplicas('r1')
      await redis.zadd(keys.replicas, Date.now() - 62_000, 'gone')
      const subscription = await log.follow(doing, 'r1')
      expect(await log.applied([await log.append(entry)], 5_000)).toEqual({ ended: 1, missing: [] })
      await subscription.close()
    })

    test('counts a replica that began after it', async () => {
      const { log } = await withReplicas('r1')
      const position = await log.append(entry)
      const subscription = await log.follow(doing, 'r1')
      expect((await log.applied([position], 5_000)).missing).toEqual([])
      await subscription.close()
    })

    test('adds up what ended on all of them, and forgets it in a minute', async () => {
      const { log, keys } = await withReplicas('r1', 'r2')
      const both = [await log.follow(doing, 'r1'), await log.follow(doing, 'r2')]
      const position = await log.append(entry)
      expect(await log.applied([position], 5_000)).toEqual({ ended: 2, missing: [] })
      expect(await redis.ttl(keys.controlEnded(position))).toBeGreaterThan(0)
      for (const subscription of both) await subscription.close()
      // How far they came stays, for whoever comes when all are gone.
      expect(await redis.hkeys(keys.controlApplied)).toEqual(['-'])
    })
  })

  test('an index that leads to another API key opens nothing', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    const [secret, other] = [generateSecret('sk'), generateSecret('sk')]
    await store.put('api-key', org, 'backend', anApiKey('backend', secret))
    await redis.hset(keys.apiKeys, apiKeyLookup(other), `${org} backend`)
    expect(await store.findApiKey(other)).toBeUndefined()
    expect((await store.findApiKey(secret))?.name).toBe('backend')
  })

  test('a shared record is decoded again when its text changes, and only then', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    await store.put('organization', org, 'organization', anOrganization())
    const first = await store.get('organization', org, 'organization')
    expect(await store.get('organization', org, 'organization')).toBe(first)
    await store.put('organization', org, 'organization', anOrganization({ suspended: true }))
    expect((await store.get('organization', org, 'organization'))?.suspended).toBe(true)
    await store.remove('organization', org, 'organization')
    expect(await store.get('organization', org, 'organization')).toBeUndefined()
    await redis.hset(keys.identity('organization', org), 'organization', '{}')
    await expect(store.get('organization', org, 'organization')).rejects.toMatchObject({
      code: 'record-damaged',
    })
  })

  test('a damaged record is an error, never a record', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingLog().writer)
    for (const damaged of ['', '{}', 'null', '{"uid":1}', '{"verifiers":']) {
      await redis.hset(keys.identity('user', org), 'ada', damaged)
      await expect(store.get('user', org, 'ada')).rejects.toMatchObject({ code: 'record-damaged' })
    }
  })

  test('a damaged credential is an error, never a credential', async () => {
    const keys = freshKeys()
    const store = new RedisCredentialStore(redis, keys, recordingLog().writer)
    await store.create(org, 'tmp_1', aCredential('tmp_1', 'secret'), 60)
    const text = (await redis.get(keys.credential(org, 'tmp_1'))) ?? ''
    for (const damaged of ['', 'x', text.slice(1 + text.indexOf(' ')), text.slice(0, -1)]) {
      await redis.set(keys.credential(org, 'tmp_1'), damaged)
      await expect(store.get(org, 'tmp_1')).rejects.toMatchObject({ code: 'record-damaged' })
    }
  })

  test('what has expired leaves as many keys as before, indexes included', async () => {
    const prefix = randomUUID()
    const keys = redisKeys(prefix)
    const store = new RedisCredentialStore(redis, keys, recordingLog().writer)
    const kinds = ['exchange', 'agent', 'worker', 'anonymous'] as const
    for (const [index, kind] of kinds.entries()) {
      for (const local of [`tmp_${index}a`, `tmp_${index}b`, `tmp_${index}c`]) {
        const record = aCredential(local, 'secret', { kind, principal: `sub:${index}` })
        await store.create(org, local, record, 1, { most: 2 })
      }
      await store.extend(org, `tmp_${index}c`, 2, 2)
    }
    await store.revoke(org, 'tmp_3c')
    const own = await redis.keys(keys.credentialsOf(org, '*' as 'agent'))
    expect(own).toHaveLength(8)
    for (const key of own) expect(await redis.pttl(key)).toBeGreaterThan(0)
    await eventually('all of them are gone', async () => (await redis.keys(`${prefix}:*`)).length === 0)
  })

  test('one that made room but could not be told is told by the next creation', async () => {
    const log: ControlEntry[] = []
    let isBroken = true
    const writer: ControlLogWriter = {
      append: async (entry) => {
        if (isBroken) throw new DomainError('store-unavailable', 'cut')
        return String(log.push(entry))
      },
    }
    const store = new RedisCredentialStore(redis, freshKeys(), writer)
    const record = aCredential('tmp_1', 'secret')
    await store.create(org, 'tmp_1', record, 60)
    await expect(store.create(org, 'tmp_2', record, 90, { replace: true })).rejects.toThrow('cut')
    expect(await store.get(org, 'tmp_1')).toBeUndefined()
    isBroken = false
    await store.create(org, 'tmp_3', record, 120, { replace: true })
    expect(log.map(({ name }) => name)).toEqual(['tmp_1', 'tmp_2'])
    const { credentials } = await store.list(org, { limit: 10 })
    expect(credentials.map(({ local }) => local)).toEqual(['tmp_3'])
  })

  test('an organization keeps all its keys in one slot, under its own tag', async () => {
    const keys = redisKeys()
    const cluster = await startRedisServer('--cluster-enabled', 'yes')
    const node = connectRedis(cluster.url, 'test', silentLog)
    await untilReady(node, AbortSignal.timeout(10_000))
    const slots = await Promise.all(
      [
        keys.identity('user', org),
        keys.identityOutbox(org),
        keys.credential(org, 'tmp_1'),
        keys.credentialsOf(org, 'sub:{other}'),
        keys.messaging(org),
      ].map((key) => node.cluster('KEYSLOT', key)),
    )
    node.disconnect()
    await cluster.stop()
    expect(new Set(slots).size).toBe(1)
  })
})

describe('while Redis is away', () => {
  test('every call says so at once, a follower goes on afterwards and hears what it missed or that it missed something', async () => {
    const own = await startRedisServer('--appendonly', 'yes', '--appendfsync', 'always')
    const connection = connectRedis(own.url, 'test', silentLog)
    await untilReady(connection, AbortSignal.timeout(10_000))
    const keys = redisKeys()
    const log = new RedisControlLog(connection, keys)
    const store = new RedisIdentityStore(connection, keys, log)
    const seen: string[] = []
    let gaps = 0
    const subscription = await log.follow({
      entry: ({ name }) => void seen.push(name),
      gap: () => void (gaps += 1),
    })
    await store.put('user', anOrganizationId, 'before', aUser('before', 'secret'))
    await eventually('the first entry is heard', () => seen.includes('before'))

    await own.kill()
    await expect(store.get('user', anOrganizationId, 'before')).rejects.toMatchObject({
      code: 'store-unavailable',
    })
    await expect(store.isReady()).rejects.toMatchObject({ code: 'store-unavailable' })
    await eventually('the follower notices', () => subscription.staleness() > 500)

    await own.start()
    await untilReady(connection, AbortSignal.timeout(10_000))
    await store.put('user', anOrganizationId, 'after', aUser('after', 'secret'))
    await eventually('the entry after the cut is heard', () => seen.includes('after'))
    expect(gaps).toBe(0)

    await connection.flushall()
    await eventually('the follower says that the log was emptied', () => gaps === 1)
    await store.put('user', anOrganizationId, 'last', aUser('last', 'secret'))
    await eventually('the entry after that is heard', () => seen.includes('last'))
    await subscription.close()
    connection.disconnect()
    await own.stop()
  })
})
