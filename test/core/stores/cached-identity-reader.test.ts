import { describe, expect, test } from 'vitest'
import { systemClock } from '#core/clock.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { CachedIdentityReader } from '#core/stores/cached-identity-reader.ts'
import type { ControlEntry, ControlLogHandler, ControlLogReader } from '#core/stores/control-log.ts'
import type { IdentityReader, IdentityWriter } from '#core/stores/identity-store.ts'
import { MemoryBarriers } from '#core/stores/memory-barriers.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anApiKey, anOrganization, anOrganizationId as org, aUser } from '../../fixtures/records.ts'

/** Writes go to the store, reads through the cache. */
describeIdentityStore('an identity store behind a cache', async () => {
  const control = new MemoryControlLog()
  const log: ControlEntry[] = []
  await control.follow({ entry: (entry) => void log.push(entry), gap: () => {} })
  const barriers = new MemoryBarriers()
  const store = new MemoryIdentityStore(control, barriers)
  const cache = new CachedIdentityReader(store, control)
  await Promise.resolve()
  const reads = new Set<string>(['get', 'getMany', 'list', 'recall', 'versionOf', 'findApiKey', 'isReady'])
  return {
    store: new Proxy<IdentityWriter>(store, {
      get(target, name) {
        const owner = reads.has(String(name)) ? cache : target
        const method: unknown = Reflect.get(owner, name)
        return typeof method === 'function' ? method.bind(owner) : method
      },
    }),
    log,
    barriers: new MemoryCredentialStore(control, systemClock, barriers),
  }
})

interface World {
  readonly cache: CachedIdentityReader
  readonly store: MemoryIdentityStore
  /** Reads of the store so far. */
  reads(): number
  /** Lets the next reads wait until it is called. */
  hold(): () => void
  staleness: number
  handler(): ControlLogHandler
}

async function aWorld(): Promise<World> {
  const control = new MemoryControlLog()
  const store = new MemoryIdentityStore(control)
  let count = 0
  let held: Promise<void> = Promise.resolve()
  const reader = new Proxy<IdentityReader>(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...parameters: unknown[]) => Promise<unknown>
      return async (...parameters: unknown[]) => {
        count += 1
        const found = await method.apply(target, parameters)
        await held
        return found
      }
    },
  })
  let handler: ControlLogHandler | undefined
  const log: ControlLogReader = {
    follow: async (given) => {
      handler = given
      const { close } = await control.follow(given)
      return { close, staleness: () => world.staleness }
    },
  }
  const cache = new CachedIdentityReader(reader, log)
  const world: World = {
    cache,
    store,
    reads: () => count,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return resolve
    },
    staleness: 0,
    handler: () => handler as ControlLogHandler,
  }
  await eventually('the log is followed', () => handler !== undefined)
  await store.put('user', org, 'ada', aUser('ada', 'secret'))
  return world
}

describe('what was read once', () => {
  test('is not read again until it changes', async () => {
    const { cache, store, reads } = await aWorld()
    const first = await cache.get('user', org, 'ada')
    expect(await cache.get('user', org, 'ada')).toBe(first)
    expect(await cache.list('user', org)).toBe(await cache.list('user', org))
    expect(reads()).toBe(2)
    await store.put('user', org, 'ada', aUser('ada', 'secret', { suspended: true }))
    expect((await cache.get('user', org, 'ada'))?.suspended).toBe(true)
    expect((await cache.list('user', org)).get('ada')?.suspended).toBe(true)
    await store.remove('user', org, 'ada')
    expect(await cache.get('user', org, 'ada')).toBeUndefined()
  })

  test('is not believed where it changed while it was read', async () => {
    const { cache, store, hold } = await aWorld()
    const release = hold()
    const reading = cache.get('user', org, 'ada')
    await store.put('user', org, 'ada', aUser('ada', 'secret', { suspended: true }))
    release()
    expect((await reading)?.suspended).toBe(false)
    expect((await cache.get('user', org, 'ada'))?.suspended).toBe(true)
  })

  test('is read once, however many ask at the same time', async () => {
    const { cache, reads } = await aWorld()
    await Promise.all(Array.from({ length: 20 }, () => cache.get('user', org, 'ada')))
    expect(reads()).toBe(1)
  })

  test('is forgotten where entries were missed', async () => {
    const { cache, handler, reads } = await aWorld()
    await cache.get('user', org, 'ada')
    handler().gap()
    await cache.get('user', org, 'ada')
    expect(reads()).toBe(2)
  })
})

describe('nothing is remembered', () => {
  test('of what is not there, or could not be read', async () => {
    const { cache, reads } = await aWorld()
    expect(await cache.get('user', org, 'bob')).toBeUndefined()
    expect(await cache.get('user', org, 'bob')).toBeUndefined()
    expect(reads()).toBe(2)
    let isBroken = true
    const control = new MemoryControlLog()
    const inner = new MemoryIdentityStore(control)
    await inner.put('organization', org, 'organization', anOrganization())
    const broken = new Proxy<IdentityReader>(inner, {
      get:
        (target, name) =>
        async (...parameters: unknown[]) => {
          if (isBroken) throw new Error('away')
          return (Reflect.get(target, name) as (...all: unknown[]) => unknown).apply(target, parameters)
        },
    })
    const other = new CachedIdentityReader(broken, control)
    await Promise.resolve()
    await expect(other.get('organization', org, 'organization')).rejects.toThrow('away')
    isBroken = false
    expect(await other.get('organization', org, 'organization')).toBeDefined()
  })

  test('while the control log can not be followed', async () => {
    const world = await aWorld()
    const { cache, reads } = world
    await cache.get('user', org, 'ada')
    world.staleness = 3_001
    await cache.get('user', org, 'ada')
    await cache.get('user', org, 'ada')
    expect(reads()).toBe(3)
    world.staleness = 0
    await cache.get('user', org, 'ada')
    expect(reads()).toBe(3)
  })

  test('before it is followed, which is tried until it works', async () => {
    let attempts = 0
    const control = new MemoryControlLog()
    const store = new MemoryIdentityStore(control)
    await store.put('user', org, 'ada', aUser('ada', 'secret'))
    const cache = new CachedIdentityReader(store, {
      follow: async (handler) => {
        attempts += 1
        if (attempts < 2) throw new Error('away')
        return control.follow(handler)
      },
    })
    await Promise.resolve()
    expect(await cache.get('user', org, 'ada')).not.toBe(await cache.get('user', org, 'ada'))
    await eventually('it is tried again', () => attempts === 2)
    await Promise.resolve()
    expect(await cache.get('user', org, 'ada')).toBe(await cache.get('user', org, 'ada'))
    await cache.close()
  })
})

describe('an API key', () => {
  test('is found again without asking, until it is rotated, moved or removed', async () => {
    const { cache, store, reads } = await aWorld()
    const [first, second] = [generateSecret('sk'), generateSecret('sk')]
    await store.put('api-key', org, 'backend', anApiKey('backend', first))
    expect((await cache.findApiKey(first))?.name).toBe('backend')
    expect((await cache.findApiKey(first))?.name).toBe('backend')
    const before = reads()
    expect((await cache.findApiKey(first))?.name).toBe('backend')
    expect(reads()).toBe(before)

    await store.put('api-key', org, 'backend', anApiKey('backend', second))
    expect(await cache.findApiKey(first)).toBeUndefined()
    expect((await cache.findApiKey(second))?.name).toBe('backend')
    await store.put('api-key', org, 'other', anApiKey('other', first))
    expect((await cache.findApiKey(first))?.name).toBe('other')
    await store.remove('api-key', org, 'backend')
    expect(await cache.findApiKey(second)).toBeUndefined()
  })
})
