import { setImmediate as turnOfOthers } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { matches } from '#core/access/topic-filter.ts'
import type { Message, RoutedMessage } from '../../broker/aedes/messages.ts'
import {
  defaultPersistenceLimits,
  RetainedQuotaError,
  type SessionPersistence,
} from '../../broker/persistence/session-persistence.ts'
import {
  aMessage,
  expiryProperty,
  someDeepFilters,
  someDeepTopics,
  someFilters,
  someTopics,
} from '../fixtures/messages.ts'

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

    /** Against every topic held beside every filter. */
    async function expectFound(kept: readonly string[], asked: readonly string[]): Promise<void> {
      for (const filter of asked) {
        const found = (await retained(filter)).map(({ topic }) => topic)
        expect([...found].sort(), filter).toEqual(kept.filter((topic) => matches(filter, topic)).sort())
      }
    }

    test.each([
      ['whatever stands in them', someTopics, someFilters],
      ['however many levels they have', someDeepTopics, someDeepFilters],
    ])('are found by filters as topics match, %s', async (_, topics, filters) => {
      await fc.assert(
        fc.asyncProperty(topics, filters, async (kept, asked) => {
          for (const topic of kept) await keep(topic)
          await expectFound(kept, asked)
          // Each by any one of its levels, and by all of them but one.
          for (const topic of kept.slice(0, 3)) await expectFound(kept, filtersFor(topic))
          for (const topic of kept) await keep(topic, { payload: Buffer.alloc(0) })
          expect(await retained('#', '$x/#')).toEqual([])
        }),
        { numRuns: 100 },
      )
    })

    test('are what was stored last, whatever was stored, changed, removed and over before', async () => {
      const step = fc.tuple(fc.nat(11), fc.constantFrom('keep', 'change', 'remove', 'expire'))
      await fc.assert(
        fc.asyncProperty(
          someTopics,
          someFilters,
          fc.array(step, { maxLength: 40 }),
          async (topics, asked, steps) => {
            const model = new Map<string, string>()
            for (const [which, kind] of steps) {
              const topic = topics[which % topics.length] ?? ''
              const payload = kind === 'remove' ? Buffer.alloc(0) : Buffer.from(`${kind} ${model.size}`)
              await keep(topic, {
                payload,
                ...(kind === 'expire' ? { properties: expiryProperty(0) } : {}),
              })
              if (kind === 'remove' || kind === 'expire') model.delete(topic)
              else model.set(topic, payload.toString())
            }
            await expectFound([...model.keys()], asked)
            const all = await retained('#', ...topics)
            expect(new Map(all.map(({ topic, payload }) => [topic, payload.toString()]))).toEqual(model)
            for (const topic of topics) await keep(topic, { payload: Buffer.alloc(0) })
          },
        ),
        { numRuns: 100 },
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

    test('are found to the last while others come and go', async () => {
      const some = Array.from({ length: 1_000 }, (_, index) => index)
      await Promise.all(some.map((index) => keep(`x/${index}/y`)))
      const found: string[] = []
      for await (const { topic } of persistence.createRetainedStreamCombi(['x/+/y'])) {
        found.push(topic)
        if (found.length % 100 !== 0) continue
        await keep(`x/${found.length}a/y`)
        await keep(`x/${found.length}a/y`, { payload: Buffer.alloc(0) })
        await keep(topic, { payload: Buffer.alloc(0) })
      }
      const stayed = new Set(found.filter((topic) => !topic.endsWith('a/y')))
      expect(stayed.size).toBe(1_000)
      expect(await retained('#')).toHaveLength(990)
    })

    test('that none of a filter finds among many let others have their turn', async () => {
      // A few hundred at a time: a busy machine takes its time, and commands have a deadline.
      for (let at = 0; at < 2_500; at += 250) {
        const some = Array.from({ length: 250 }, (_, index) => at + index)
        await Promise.all(some.flatMap((index) => [keep(`r/${index}/x/1/k`), keep(`r/${index}/y/1/z`)]))
      }
      let turns = 0
      const over = new AbortController()
      const others = (async () => {
        for (; !over.signal.aborted; turns += 1) await turnOfOthers()
      })()
      expect(await retained('+/+/x/+/z')).toEqual([])
      over.abort()
      await others
      expect(turns).toBeGreaterThan(2)
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

/** That match it: with one level, and with all but one, given. */
function filtersFor(topic: string): string[] {
  const levels = topic.split('/')
  const given = (isGiven: (index: number) => boolean): string =>
    levels.map((level, index) => (isGiven(index) ? level : '+')).join('/')
  return levels.flatMap((_, index) => [
    given((each) => each === index),
    given((each) => each !== index),
    `${given((each) => each <= index)}/#`,
  ])
}
