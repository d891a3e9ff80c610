/** A leader that hung while another took over: whatever it still does, nothing of it lands. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import type { ControlEntry } from '#core/stores/control-log.ts'
import { type RedisConnection } from '#core/stores/redis-connection.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys, type RedisKeys } from '#core/stores/redis-keys.ts'
import {
  anApiKey,
  anOrganization,
  anOrganizationId,
  anotherOrganizationId,
  aProvider,
  aUser,
} from '../../fixtures/records.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'

const org = anOrganizationId
const superseded = { code: 'superseded' }

describe('a writer of an earlier term', () => {
  let place: ConnectedRedis
  let redis: RedisConnection
  let keys: RedisKeys
  let log: ControlEntry[]
  let old: RedisIdentityStore
  let current: RedisIdentityStore

  beforeAll(async () => {
    place = await startConnectedRedis()
    redis = await place.connection()
  })
  afterAll(async () => {
    await place.stop()
  })
  beforeEach(async () => {
    keys = redisKeys(randomUUID())
    log = []
    old = inTerm(6)
    current = inTerm(7)
    await old.takeOver()
    await old.put('organization', org, 'organization', anOrganization())
    await old.put('user', org, 'ada', aUser('ada', 'old'))
    log.length = 0
  })
  const inTerm = (term: number): RedisIdentityStore =>
    new RedisIdentityStore(redis, keys, { append: async (entry) => String(log.push(entry)) }, () => term)
  const everything = async (): Promise<unknown> => {
    const names = (await redis.keys(`${keys.organizations.slice(0, 36)}:*`)).toSorted()
    return Promise.all(names.map(async (name) => [name, await contentOf(name)]))
  }
  const contentOf = async (key: string): Promise<unknown> => {
    switch (await redis.type(key)) {
      case 'hash':
        return await redis.hgetall(key)
      case 'set':
        return (await redis.smembers(key)).toSorted()
      default:
        return await redis.get(key)
    }
  }

  test('writes nothing once another has taken over, also where that one has written nothing yet', async () => {
    await current.takeOver()
    const before = await everything()
    await expect(old.put('user', org, 'ada', aUser('ada', 'older'))).rejects.toMatchObject(superseded)
    await expect(old.put('user', org, 'eve', aUser('eve', 'x'))).rejects.toMatchObject(superseded)
    await expect(old.put('user', anotherOrganizationId, 'eve', aUser('eve', 'x'))).rejects.toMatchObject(
      superseded,
    )
    await expect(old.put('api-key', org, 'key', anApiKey('key', generateSecret('sk')))).rejects.toMatchObject(
      superseded,
    )
    await expect(old.remove('user', org, 'ada')).rejects.toMatchObject(superseded)
    await expect(old.remove('api-key', org, 'key')).rejects.toMatchObject(superseded)
    await expect(old.markReady()).rejects.toMatchObject(superseded)
    await expect(old.takeOver()).rejects.toMatchObject({ ...superseded, cause: 7 })
    expect(await everything()).toEqual(before)
    expect(log).toEqual([])
  })

  test('does not bring back an organization that the other has removed', async () => {
    await current.takeOver()
    await current.remove('user', org, 'ada')
    await current.remove('organization', org, 'organization')
    await expect(old.put('user', org, 'ada', aUser('ada', 'old'))).rejects.toMatchObject(superseded)
    expect(await current.organizations()).toEqual([])
  })

  test('is closed out of an organization by the first write there, without a take-over', async () => {
    await current.put('user', org, 'bob', aUser('bob', 'x'))
    await expect(old.remove('user', org, 'ada')).rejects.toMatchObject(superseded)
    expect(await current.get('user', org, 'ada')).toBeDefined()
  })

  test('that is the same process, leading again, writes with its new term and not with the old one', async () => {
    let term = 6
    const store = new RedisIdentityStore(redis, keys, { append: async () => '1-0' }, () => term)
    await current.takeOver()
    await expect(store.put('user', org, 'ada', aUser('ada', 'new'))).rejects.toMatchObject(superseded)
    term = 8
    await store.takeOver()
    expect(await store.put('user', org, 'ada', aUser('ada', 'new'))).toBe(true)
    await expect(current.put('user', org, 'ada', aUser('ada', 'x'))).rejects.toMatchObject(superseded)
  })

  test('that died between a removal and its entry in the control log is finished by who takes over', async () => {
    const dying = new RedisIdentityStore(
      redis,
      keys,
      { append: () => Promise.reject(new Error('killed')) },
      () => 6,
    )
    await expect(dying.remove('user', org, 'ada')).rejects.toThrow('killed')
    await expect(dying.remove('organization', org, 'organization')).rejects.toThrow('killed')
    expect(await current.organizations()).toEqual([org])
    await current.takeOver()
    expect(log.map(({ type, name }) => `${type} ${name}`).toSorted()).toEqual([
      'organization organization',
      'user ada',
    ])
    expect(await redis.exists(keys.identityOutbox(org))).toBe(0)
    expect(await current.organizations()).toEqual([])
    await current.takeOver()
    expect(log).toHaveLength(2)
  })

  describe('that died after it ended what a provider had issued, before anybody was told,', () => {
    const dying = (): RedisIdentityStore =>
      new RedisIdentityStore(redis, keys, { append: () => Promise.reject(new Error('killed')) }, () => 6)
    const told = (): string[] => log.map(({ type, name }) => `${type} ${name}`).toSorted()
    const raised = async (target: string): Promise<boolean> =>
      (await redis.zscore(keys.barriers(org), target)) !== null
    beforeEach(async () => {
      await old.put('provider', org, 'login', aProvider())
      log.length = 0
    })

    test.each<[string, string, (store: RedisIdentityStore) => Promise<boolean>]>([
      ['removed its record', 'provider:login', (store) => store.remove('provider', org, 'login')],
      [
        'suspended it',
        'provider:login',
        (store) => store.put('provider', org, 'login', aProvider({ closed: 'suspended' }), 'for-good'),
      ],
      [
        'made it accept less',
        'terms:login',
        (store) => store.put('provider', org, 'login', aProvider({ settings: {} }), 'judged-anew'),
      ],
    ])('and %s: whoever takes over tells it, and so does the same one when it tries again', async (...of) => {
      const [, target, write] = of
      await expect(write(dying())).rejects.toThrow('killed')
      expect(await raised(target)).toBe(true)
      const at = await redis.zscore(keys.barriers(org), target)
      expect(await write(old)).toBe(true)
      expect(told()).toEqual([`barrier ${target}`, 'provider login'])
      expect(await redis.zscore(keys.barriers(org), target)).toBe(at)
      expect(await redis.exists(keys.identityOutbox(org))).toBe(0)
      log.length = 0
      await old.put('provider', org, 'login', aProvider({ ttl: 77 }))
      log.length = 0
      await expect(write(dying())).rejects.toThrow('killed')
      await current.takeOver()
      expect(told()).toEqual([`barrier ${target}`, 'provider login'])
      expect(await redis.exists(keys.identityOutbox(org))).toBe(0)
    })

    test('and hung before: nothing ends by its word', async () => {
      await current.takeOver()
      await expect(old.remove('provider', org, 'login')).rejects.toMatchObject(superseded)
      await expect(
        old.put('provider', org, 'login', aProvider({ ttl: 77 }), 'for-good'),
      ).rejects.toMatchObject(superseded)
      expect([await redis.exists(keys.barriers(org)), log]).toEqual([0, []])
    })
  })

  test('is told from one of the present term, and from who has no term', async () => {
    await current.takeOver()
    expect(await inTerm(7).put('user', org, 'ada', aUser('ada', 'new'))).toBe(true)
    const only = new RedisIdentityStore(redis, keys, { append: async () => '1-0' })
    expect(await only.remove('user', org, 'ada')).toBe(true)
  })

  test('a fence that can not be a term stops nobody, and every fence ends by itself', async () => {
    await redis.set(keys.identityFence(org), 'nonsense')
    await redis.set(keys.identityFence(undefined), '99999999999')
    expect(await current.put('user', org, 'eve', aUser('eve', 'x'))).toBe(true)
    for (const key of [keys.identityFence(org), keys.identityFence(undefined)]) {
      expect(await redis.get(key)).toBe('7')
      expect(await redis.ttl(key)).toBeGreaterThan(29 * 86_400)
    }
  })
})
