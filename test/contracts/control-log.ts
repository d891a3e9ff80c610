import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type ControlEntry,
  controlEntryTypes,
  type ControlLog,
  type ControlLogSubscription,
} from '#core/stores/control-log.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId } from '../fixtures/records.ts'

/** Expects that it takes its time; the function that this resolves with waits for what it comes to. */
async function underWay<T>(work: Promise<T>): Promise<() => Promise<T>> {
  let isOver = false
  void work.then(() => (isOver = true))
  await pause(50)
  expect(isOver).toBe(false)
  return () => work
}

/** Every control log runs this. `create` gives one that is empty and nobody else's; where there are replicas, r1 lives. */
export function describeControlLog(name: string, create: () => Promise<ControlLog>): void {
  describe(`${name} keeps the contract of a control log:`, () => {
    const open: ControlLogSubscription[] = []
    afterEach(async () => {
      for (const subscription of open.splice(0)) await subscription.close()
    })

    const follow = async (log: ControlLog): Promise<{ seen: ControlEntry[]; gaps: () => number }> => {
      const seen: ControlEntry[] = []
      let gaps = 0
      const handler = { entry: (entry: ControlEntry) => seen.push(entry), gap: () => (gaps += 1) }
      open.push(await log.follow(handler as never))
      return { seen, gaps: () => gaps }
    }
    const entry = (local: string): ControlEntry => ({
      type: 'user',
      organization: anOrganizationId,
      name: local,
    })

    test('a follower hears every entry appended after it began, in order and once', async () => {
      const log = await create()
      await log.append(entry('before'))
      const { seen, gaps } = await follow(log)
      for (let index = 0; index < 20; index += 1) await log.append(entry(`user-${index}`))
      await eventually('all entries are heard', () => seen.length >= 20)
      expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => entry(`user-${index}`)))
      expect(gaps()).toBe(0)
    })

    test('two followers hear the same', async () => {
      const log = await create()
      const [first, second] = [await follow(log), await follow(log)]
      await log.append(entry('ada'))
      await eventually('both hear it', () => first.seen.length === 1 && second.seen.length === 1)
      expect(first.seen).toEqual(second.seen)
    })

    test('a closed follower hears nothing more', async () => {
      const log = await create()
      const { seen } = await follow(log)
      await open.pop()?.close()
      const other = await follow(log)
      await log.append(entry('late'))
      await eventually('the other hears it', () => other.seen.length === 1)
      expect(seen).toEqual([])
    })

    test('an entry of each type comes back as it was, whatever its name', async () => {
      const log = await create()
      const { seen } = await follow(log)
      const entries = controlEntryTypes.flatMap((type) =>
        ['organization', 'type', 'name', 'a.b-c_D9'].map((name) => ({
          type,
          organization: anOrganizationId,
          name,
        })),
      )
      for (const each of entries) await log.append(each)
      await eventually('all are heard', () => seen.length >= entries.length)
      expect(seen).toEqual(entries)
    })

    test('an entry is applied once what it asks for is done, with how many connections ended', async () => {
      const log = await create()
      const { promise: doing, resolve: finish } = Promise.withResolvers<number>()
      open.push(await log.follow({ entry: () => doing, gap() {} }, 'r1'))
      const position = await log.append(entry('ada'))
      const applied = await underWay(log.applied([position], 5_000))
      finish(3)
      expect(await applied()).toEqual({ ended: 3, missing: [] })
      // What was appended before is applied as well.
      expect((await log.applied([position], 5_000)).missing).toEqual([])
    })

    test('entries of one act are applied with the last of them, and counted together', async () => {
      const log = await create()
      const { promise: doing, resolve: finish } = Promise.withResolvers<number>()
      const handler = {
        entry: ({ name }: ControlEntry) => (name === 'one' ? Promise.resolve(2) : doing),
        gap() {},
      }
      open.push(await log.follow(handler, 'r1'))
      const positions = [await log.append(entry('one')), await log.append(entry('two'))]
      const applied = await underWay(log.applied(positions, 5_000))
      finish(3)
      expect(await applied()).toEqual({ ended: 5, missing: [] })
    })

    test('staleness stays small while the log can be read', async () => {
      const log = await create()
      open.push(await log.follow({ entry: () => {}, gap: () => {} }))
      await eventually('the log was read', () => (open[0]?.staleness() ?? Infinity) < 2_000)
    })
  })
}
