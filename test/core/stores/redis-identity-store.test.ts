import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiKeyLookup, generateSecret } from '#core/credentials/secret.ts'
import type { ControlEntry, ControlLogWriter } from '#core/stores/control-log.ts'
import { recordFingerprint } from '#core/stores/identity-codecs.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { type ConnectedRedis, freshKeys, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { anApiKey, anOrganization, anOrganizationId, aUser } from '../../fixtures/records.ts'
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

describeIdentityStore('the identity store on Redis', async () => {
  const { log, writer } = recordingControlLog()
  const keys = freshKeys()
  const barriers = new RedisCredentialStore(redis, keys, writer)
  return { store: new RedisIdentityStore(redis, keys, writer), log, barriers }
})

describe('records on Redis', () => {
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
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
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
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
    const names = Array.from({ length: 1_100 }, (_, index) => `list-${index}`)
    await Promise.all(names.map((name) => store.put('access-list', org, name, { rules: [] })))
    const print = recordFingerprint('access-list', { rules: [] })
    await redis.hdel(keys.identity('access-list', org), 'list-0', 'list-499', 'list-500', 'list-1099')
    const drifted = await store.drifted('access-list', org, new Map(names.map((name) => [name, print])))
    expect(drifted).toEqual(['list-0', 'list-499', 'list-500', 'list-1099'])
  })

  test('a damaged API key is written anew and can be removed', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
    const [secret, place] = [generateSecret('sk'), keys.identity('api-key', org)]
    await redis.hset(place, 'backend', 'damaged')
    expect(await store.put('api-key', org, 'backend', anApiKey('backend', secret))).toBe(true)
    expect((await store.findApiKey(secret))?.name).toBe('backend')
    await redis.hset(place, 'backend', 'damaged')
    expect(await store.remove('api-key', org, 'backend')).toBe(true)
    expect(await store.findApiKey(secret)).toBeUndefined()
  })

  test('an index that leads to another API key opens nothing', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
    const [secret, other] = [generateSecret('sk'), generateSecret('sk')]
    await store.put('api-key', org, 'backend', anApiKey('backend', secret))
    await redis.hset(keys.apiKeys, apiKeyLookup(other), `${org} backend`)
    expect(await store.findApiKey(other)).toBeUndefined()
    expect((await store.findApiKey(secret))?.name).toBe('backend')
  })

  test('a shared record is decoded again when its text changes, and only then', async () => {
    const keys = freshKeys()
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
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
    const store = new RedisIdentityStore(redis, keys, recordingControlLog().writer)
    for (const damaged of ['', '{}', 'null', '{"uid":1}', '{"verifiers":']) {
      await redis.hset(keys.identity('user', org), 'ada', damaged)
      await expect(store.get('user', org, 'ada')).rejects.toMatchObject({ code: 'record-damaged' })
    }
  })
})
