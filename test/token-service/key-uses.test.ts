import { afterEach, beforeEach, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { MemoryApiKeyUses } from '#core/stores/memory-api-key-uses.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { type AppUnderTest, startApp } from './app-under-test.ts'

const minute = 60_000
let service: AppUnderTest
let notes: { uid: string; at: number }[]
let isDown: boolean

beforeEach(async () => {
  notes = []
  isDown = false
  const kept = new MemoryApiKeyUses()
  service = await startApp({
    keyUses: {
      note: async (organization, uid, at) => {
        notes.push({ uid, at })
        if (isDown) throw new Error('the store is down')
        await kept.note(organization, uid, at)
      },
      lastUse: kept.lastUse.bind(kept),
    },
  })
})
afterEach(() => service.close())

const use = async (key?: string): Promise<number> =>
  (await service.exchange({ token: await service.token() }, key, { origin: 'https://acme.example' })).status

test('the use of a key is noted once an hour, however often it is used', async () => {
  const first = service.now()
  for (let index = 0; index < 3; index += 1) expect(await use()).toBe(200)
  expect(notes).toEqual([{ uid: 'uid-backend', at: first }])
  service.pass(59 * minute)
  await use()
  expect(notes).toHaveLength(1)
  service.pass(minute)
  await use()
  expect(notes.map(({ at }) => at - first)).toEqual([0, 60 * minute])
})

test('each key has a use of its own, also one that fails at what it asks for', async () => {
  expect(await use(service.publishableKey)).toBe(200)
  expect((await service.exchange({ token: 'x' })).status).toBe(400)
  expect(notes.map(({ uid }) => uid)).toEqual(['uid-browser', 'uid-backend'])
})

test('a key that is none has no use, and neither has an exchange without a key', async () => {
  expect(await use(generateSecret('sk'))).toBe(401)
  expect(await use('')).toBe(401)
  expect(
    (await service.post('/v2/tokens/exchange', { organization_id: anOrganizationId, token: 'x' }, '')).status,
  ).toBe(404)
  expect(notes).toEqual([])
})

test('nobody waits for the note, and nothing fails with it; it is tried again after a minute', async () => {
  isDown = true
  expect(await use()).toBe(200)
  expect(await use()).toBe(200)
  expect(notes).toHaveLength(1)
  isDown = false
  service.pass(minute)
  expect(await use()).toBe(200)
  service.pass(30 * minute)
  expect(await use()).toBe(200)
  expect(notes).toHaveLength(2)
})
