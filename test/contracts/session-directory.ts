import { beforeEach, describe, expect, test } from 'vitest'
import type { ConnectionAbout, SessionDirectory } from '#core/stores/session-directory.ts'
import type { Claim, ClientRegistry } from '../../broker/cluster/client-registry.ts'
import type { SessionPersistence } from '../../broker/persistence/session-persistence.ts'
import { aMessage } from '../fixtures/messages.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'
import { arriveAt } from './client-registry.ts'

export interface DirectoryUnderTest {
  readonly directory: SessionDirectory
  readonly registry: ClientRegistry
  /** Of the organization of tests. */
  readonly persistence: SessionPersistence
}

const about: ConnectionAbout = { address: '192.0.2.1', listener: 'wss', version: 5, credential: 'tmp_1' }

/** Every SessionDirectory runs this. `create` makes an empty one. */
export function describeSessionDirectory(name: string, create: () => Promise<DirectoryUnderTest>): void {
  describe(`${name} keeps the contract of a directory of sessions:`, () => {
    let under: DirectoryUnderTest
    beforeEach(async () => {
      under = await create()
    })

    const arrive = async (id: string, organization = org): Promise<Claim> =>
      (await arriveAt(under.registry, { organization, id, isCleanStart: false, about })).claim
    const ids = async (prefix = '', after = '', limit = 100): Promise<string[]> =>
      (await under.directory.list(org, prefix, after, limit)).sessions.map(({ id }) => id)

    test('a connection is there from its claim on until it leaves, with what is told of it', async () => {
      const claim = await arrive('user:a/1')
      const entry = await under.directory.find(org, 'user:a/1')
      expect(entry).toMatchObject({ id: 'user:a/1', connection: { ...about, since: claim.since } })
      expect(entry?.stored).toBeUndefined()
      await under.registry.leave(claim, { publish: false })
      expect(await under.directory.find(org, 'user:a/1')).toBeUndefined()
    })

    test('what is told later of a connection takes the place of what was, while the id is its own', async () => {
      const former = await arrive('user:a/1')
      const told = { ...about, subscriptions: ['a', 'b/#'] }
      await under.registry.tell(former, told)
      expect(await under.directory.find(org, 'user:a/1')).toMatchObject({ connection: told })
      const later = await arrive('user:a/1')
      await under.registry.tell(former, told)
      const entry = await under.directory.find(org, 'user:a/1')
      expect(entry?.connection?.subscriptions).toBeUndefined()
      await under.registry.leave(later, { publish: false })
      await under.registry.tell(later, told)
      expect(await under.directory.find(org, 'user:a/1')).toBeUndefined()
    })

    test('what is stored is there before, during and after', async () => {
      const owner = { id: 'user:a/1' }
      const { epoch } = await under.persistence.openSession(owner, false, 60)
      await under.persistence.addSubscriptions(owner, [{ topic: 'a/+', qos: 1 }])
      const message = aMessage({ topic: 'a/b' })
      await under.persistence.outgoingEnqueueCombi(
        await under.persistence.subscriptionsByTopic('a/b'),
        message,
      )
      const claim = await arrive(owner.id)
      const both = await under.directory.find(org, owner.id)
      expect(both).toMatchObject({ connection: about, stored: { subscriptions: ['a/+'], queued: 1 } })
      await under.persistence.closeSession(owner, epoch, 60)
      await under.registry.leave(claim, { publish: false })
      const left = await under.directory.find(org, owner.id)
      expect(left?.connection).toBeUndefined()
      expect(left?.stored?.endsAt).toBeGreaterThan(Date.now() + 50_000)
      expect(left?.stored?.endsAt).toBeLessThan(Date.now() + 70_000)
      expect(Math.abs((left?.stored?.openedAt ?? 0) - Date.now())).toBeLessThan(10_000)
      await under.persistence.endSession(owner)
      expect(await under.directory.find(org, owner.id)).toBeUndefined()
    })

    test('lists go by id, in pages, each once, whether connected, stored or both', async () => {
      for (const id of ['user:a/2', 'sub:x/1', 'user:a/1']) await arrive(id)
      for (const id of ['user:a/1', 'user:b/ä', 'user:ab/1']) {
        await under.persistence.openSession({ id }, false, 60)
      }
      const all = ['sub:x/1', 'user:a/1', 'user:a/2', 'user:ab/1', 'user:b/ä']
      expect(await ids()).toEqual(all)
      expect(await ids('user:a/')).toEqual(['user:a/1', 'user:a/2'])
      const seen: string[] = []
      for (let after: string | undefined = ''; after !== undefined;) {
        const page = await under.directory.list(org, '', after, 2)
        seen.push(...page.sessions.map(({ id }) => id))
        after = page.next
      }
      expect(seen).toEqual(all)
    })

    test('groups of shared subscriptions are no sessions', async () => {
      const owner = { id: 'user:a/1' }
      await under.persistence.openSession(owner, false, 60)
      await under.persistence.addSubscriptions(owner, [{ topic: '$share/g/a', qos: 1 }])
      expect(await ids()).toEqual(['user:a/1'])
    })

    test('another organization has its own', async () => {
      await arrive('user:a/1', anotherOrganizationId)
      expect(await ids()).toEqual([])
      expect(await under.directory.find(org, 'user:a/1')).toBeUndefined()
    })
  })
}
