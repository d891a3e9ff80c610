import { describe, expect, test } from 'vitest'
import { atEndOfTurn } from '#core/process/end-of-turn.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the end of a turn of the event loop', () => {
  test('comes after what is under way, in the order in which it was asked for', async () => {
    const done: string[] = []
    atEndOfTurn(() => done.push('first'))
    atEndOfTurn(() => done.push('second'))
    await Promise.resolve()
    expect(done).toEqual([])
    await turn()
    expect(done).toEqual(['first', 'second'])
  })

  test('has room for what is asked for in it', async () => {
    const done: string[] = []
    atEndOfTurn(() => {
      atEndOfTurn(() => done.push('of the same turn'))
      setImmediate(() => done.push('of the next one'))
    })
    await turn()
    expect(done).toEqual(['of the same turn'])
    await turn()
    expect(done).toEqual(['of the same turn', 'of the next one'])
  })

  test('comes again in the next turn', async () => {
    let count = 0
    for (const _ of [1, 2]) {
      atEndOfTurn(() => (count += 1))
      await turn()
    }
    expect(count).toBe(2)
  })
})
