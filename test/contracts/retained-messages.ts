import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { matches } from '#core/access/topic-filter.ts'
import type { Message, RoutedMessage } from '../../broker/aedes/messages.ts'
import {
  defaultPersistenceLimits,
  RetainedQuotaError,
  type SessionPersistence,
} from '../../broker/persistence/session-persistence.ts'
import { aMessage, expiryProperty, someFilters, someTopics } from '../fixtures/messages.ts'

/** Every persistence runs this too. `create` gives one that is set up, empty and nobody else's. */
export function describeRetainedMessages(name: string, create: () => Promise<SessionPersistence>): void {
  describe(`in ${name} retained messages`, () => {
    let persistence: SessionPersistence
    beforeEach(async () => {
      persistence = await create()
    })
    afterEach(() => persistence.destroy())

    const retained = async (...filters: string[]): Promise<Message[]> => {
      const all: Message[] = []
      for await (const message of persistence.createRetainedStreamCombi(filters)) all.push(message)
      return all
    }
    const keep = (topic: string, over: Partial<RoutedMessage> = {}): Promise<void> =>
      persistence.storeRetained(aMessage({ topic, retain: true, ...over }))

    test('are replaced, and removed by an empty one', async () => {
      const properties = Buffer.from([0x26, 0, 1, 97, 0, 1, 98])
      await keep('a', { payload: Buffer.from('first') })
      await keep('a', { payload: Buffer.from('second'), properties, qos: 2 })
      expect(await retained('a')).toMatchObject([
        { topic: 'a', payload: Buffer.from('second'), properties, qos: 2, retain: true },
      ])
      await keep('a', { payload: Buffer.alloc(0) })
      await keep('never there', { payload: Buffer.alloc(0) })
      expect(await retained('#')).toEqual([])
    })

    test('are found by filters as topics match, whatever stands in them', async () => {
      await fc.assert(
        fc.asyncProperty(someTopics, someFilters, async (kept, asked) => {
          for (const topic of kept) await keep(topic)
          for (const filter of asked) {
            const found = (await retained(filter)).map(({ topic }) => topic)
            expect([...found].sort()).toEqual(
              [...new Set(kept)].filter((topic) => matches(filter, topic)).sort(),
            )
          }
          for (const topic of kept) await keep(topic, { payload: Buffer.alloc(0) })
        }),
        { numRuns: 150 },
      )
    })

    test('that several filters find come once', async () => {
      for (const topic of ['a/b', 'a/c']) await keep(topic)
      expect((await retained('a/b', 'a/+', '#')).map(({ topic }) => topic)).toEqual(['a/b', 'a/c'])
    })

    test('are found to the last when there are more than a page of them', async () => {
      for (let index = 0; index < 2_500; index += 1) await keep(`x/${index}/y`)
      expect(await retained('x/+/y')).toHaveLength(2_500)
      expect(await retained('x/+/z')).toEqual([])
      expect(await retained('+/2499/+')).toHaveLength(1)
    })

    test('are over when their expiry is, and make room then', async () => {
      persistence.configure({ ...defaultPersistenceLimits, retained: 2 })
      await keep('short', { properties: expiryProperty(0) })
      await keep('long', { properties: expiryProperty(50) })
      const found = await retained('#')
      expect(found.map(({ topic, properties }) => [topic, properties])).toEqual([
        ['long', expiryProperty(50)],
      ])
      await keep('another')
      expect((await retained('#')).map(({ topic }) => topic).sort()).toEqual(['another', 'long'])
    })

    test('above the quota are refused, but those there may change', async () => {
      persistence.configure({ ...defaultPersistenceLimits, retained: 1 })
      await keep('a')
      await expect(keep('b')).rejects.toBeInstanceOf(RetainedQuotaError)
      await keep('a', { payload: Buffer.from('changed') })
      expect((await retained('#')).map(({ payload }) => payload.toString())).toEqual(['changed'])
      await keep('a', { payload: Buffer.alloc(0) })
      await keep('b')
    })
  })
}
