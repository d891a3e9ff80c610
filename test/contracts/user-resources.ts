import { describe, expect, test } from 'vitest'
import type { MqttUserSpec } from '#core/resources/mqtt-user.ts'
import {
  type UserHome,
  type UserResources,
  UserResourcesError,
} from '../../token-service/users/user-resources.ts'

export interface UserResourcesUnderTest {
  readonly resources: UserResources
  /** An organization that is there; nobody has users in it. */
  readonly home: UserHome
  /** Writes an object as somebody else would. */
  declare(name: string, labels: Readonly<Record<string, string>>, spec: MqttUserSpec): Promise<void>
}

/** Every place where users are kept runs this. */
export function describeUserResources(name: string, create: () => Promise<UserResourcesUnderTest>): void {
  describe(`${name} keeps the contract of user resources:`, () => {
    const verifier = { algorithm: 'sha256', digest: 'A'.repeat(43) } as const
    const specOf = ({ organization }: UserHome, username: string): MqttUserSpec => ({
      organizationRef: { name: organization },
      username,
      passwordVerifier: verifier,
      access: [{ effect: 'allow', actions: ['publish'], topics: ['a'] }],
      limits: { connections: 1, byteRate: 9 },
    })
    const aUser = (home: UserHome, username: string) => ({
      name: `user-${username}`,
      annotations: { 'example.com/a': 'b' },
      spec: specOf(home, username),
    })
    const failure = (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'none',
        (error: unknown) => (error instanceof UserResourcesError ? error.failure : String(error)),
      )

    test('what was created is there, once, as it was given', async () => {
      const { resources, home } = await create()
      const created = await resources.create(home, aUser(home, 'ada'))
      expect(created).toMatchObject({
        metadata: {
          name: 'user-ada',
          namespace: home.namespace,
          generation: 1,
          annotations: { 'example.com/a': 'b' },
        },
        spec: specOf(home, 'ada'),
      })
      expect(created.metadata.uid).not.toBe('')
      expect(Date.parse(created.metadata.creationTimestamp ?? '')).toBeGreaterThan(Date.now() - 60_000)
      const found = await resources.get(home, 'user-ada')
      expect([found?.metadata.uid, found?.spec]).toEqual([created.metadata.uid, created.spec])
      expect(await failure(resources.create(home, aUser(home, 'ada')))).toBe('already-exists')
      expect(await resources.get(home, 'user-bob')).toBeUndefined()
      expect(await resources.get({ ...home, organization: 'other' }, 'user-ada')).toBeUndefined()
    })

    test('what would be no such object is refused', async () => {
      const { resources, home } = await create()
      const user = aUser(home, 'ada')
      const spec = { ...user.spec, limits: { connections: -1 } }
      expect(await failure(resources.create(home, { ...user, spec }))).toBe('refused')
      expect(await resources.get(home, 'user-ada')).toBeUndefined()
      expect((await resources.create(home, user)).metadata.name).toBe('user-ada')
    })

    test('a change replaces what it names, takes away what is null, and counts on what was read', async () => {
      const { resources, home } = await create()
      const first = await resources.create(home, aUser(home, 'ada'))
      const changed = await resources.change(first, {
        accessListRefs: [{ name: 'l' }],
        access: null,
        limits: { connections: 2, byteRate: null } as unknown as NonNullable<MqttUserSpec['limits']>,
      })
      const { access: _, ...rest } = specOf(home, 'ada')
      expect(changed.spec).toEqual({ ...rest, accessListRefs: [{ name: 'l' }], limits: { connections: 2 } })
      expect(changed.metadata.uid).toBe(first.metadata.uid)
      expect(changed.metadata.annotations).toMatchObject({ 'example.com/a': 'b' })
      expect(await failure(resources.change(first, { suspended: true }))).toBe('conflict')
      expect((await resources.get(home, 'user-ada'))?.spec).toEqual(changed.spec)
    })

    test('what was removed is gone, and its name is free; another one of that name is not touched', async () => {
      const { resources, home } = await create()
      const first = await resources.create(home, aUser(home, 'ada'))
      await resources.remove(first)
      await resources.remove(first)
      expect(await resources.get(home, 'user-ada')).toBeUndefined()
      expect(await failure(resources.change(first, { suspended: true }))).toBe('conflict')
      const second = await resources.create(home, aUser(home, 'ada'))
      expect(second.metadata.uid).not.toBe(first.metadata.uid)
      expect(await failure(resources.remove(first))).toBe('conflict')
      expect((await resources.get(home, 'user-ada'))?.metadata.uid).toBe(second.metadata.uid)
    })

    test('pages hold each once, in the same order', async () => {
      const { resources, home } = await create()
      const names = ['a', 'b', 'c', 'd', 'e']
      for (const name of names) await resources.create(home, aUser(home, name))
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await resources.list(home, 2, cursor)
        expect(page.users.length).toBeLessThanOrEqual(2)
        seen.push(...page.users.map(({ spec }) => spec.username ?? ''))
        cursor = page.next
      } while (cursor !== undefined)
      expect(seen).toEqual(names)
      expect(await failure(resources.list(home, 2, 'AAAA'))).toBe('cursor')
      expect((await resources.list({ ...home, organization: 'other' }, 2, undefined)).users).toEqual([])
    })

    test('what somebody else has declared is not seen, and its name is taken', async () => {
      const { resources, home, declare } = await create()
      await declare('user-ada', {}, specOf(home, 'ada'))
      expect(await resources.get(home, 'user-ada')).toBeUndefined()
      expect((await resources.list(home, 10, undefined)).users).toEqual([])
      expect(await failure(resources.create(home, aUser(home, 'ada')))).toBe('already-exists')
    })
  })
}
