import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { DomainError } from '#core/errors.ts'
import type { ControlEntry, ControlLogWriter } from '#core/stores/control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { type ConnectedRedis, freshKeys, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aCredential, anApiKey, anOrganizationId, aProvider } from '../../fixtures/records.ts'
import { recordingControlLog } from '../../fixtures/recording-control-log.ts'

let place: ConnectedRedis
let redis: Redis

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

afterAll(async () => {
  await place.stop()
})

const org = anOrganizationId

describeCredentialStore('the credential store on Redis', async () => {
  const { log, writer } = recordingControlLog()
  return {
    store: new RedisCredentialStore(redis, freshKeys(), writer),
    log,
    pass: (ms) => pause(ms),
  }
})

describe('credentials on Redis', () => {
  test('nothing is issued on the word of a provider whose record is another by now, or gone', async () => {
    const [keys, { writer }] = [freshKeys(), recordingControlLog()]
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
    const [keys, { writer }] = [freshKeys(), recordingControlLog()]
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

  describe('a revocation that a process did not live to tell all of', () => {
    const record = aCredential('tmp_1', 'secret', { principal: 'sub:ada' })
    const interrupted = async (toldBefore: number) => {
      const keys = freshKeys()
      const { log, writer } = recordingControlLog()
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

  test('a damaged credential is an error, never a credential', async () => {
    const keys = freshKeys()
    const store = new RedisCredentialStore(redis, keys, recordingControlLog().writer)
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
    const store = new RedisCredentialStore(redis, keys, recordingControlLog().writer)
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
})
