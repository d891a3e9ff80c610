import { describe, expect, test } from 'vitest'
import { Gathering } from '#core/stores/gathering.ts'

interface Question {
  readonly wanted: readonly number[]
  answer(): Promise<void>
  fail(): Promise<void>
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function aGathering(
  most = 100,
  atOnce?: number,
): {
  readonly gathering: Gathering<number, string>
  readonly questions: Question[]
  idles: number
} {
  const questions: Question[] = []
  const under = {
    questions,
    idles: 0,
    gathering: new Gathering<number, string>({
      most,
      ...(atOnce === undefined ? {} : { atOnce }),
      ask(wanted) {
        const { promise, resolve, reject } = Promise.withResolvers<string[]>()
        questions.push({
          wanted,
          async answer() {
            resolve(wanted.map(String))
            await turn()
          },
          async fail() {
            reject(new Error('away'))
            await turn()
          },
        })
        return promise
      },
      idle: () => (under.idles += 1),
    }),
  }
  return under
}

describe('what is wanted of a store', () => {
  test('in one turn is one question, and everybody gets an answer of their own', async () => {
    const { gathering, questions } = aGathering()
    const answers = Promise.all([1, 2, 1].map((wanted) => gathering.ask(wanted)))
    expect(questions).toEqual([])
    await turn()
    expect(questions.map(({ wanted }) => wanted)).toEqual([[1, 2, 1]])
    await questions[0]?.answer()
    expect(await answers).toEqual(['1', '2', '1'])
  })

  test('while a question is on its way waits for the next one, all of it together', async () => {
    const { gathering, questions } = aGathering()
    const first = gathering.ask(1)
    await turn()
    const others = Promise.all([2, 3].map((wanted) => gathering.ask(wanted)))
    await turn()
    expect(questions).toHaveLength(1)
    await questions[0]?.answer()
    expect(await first).toBe('1')
    expect(questions.map(({ wanted }) => wanted)).toEqual([[1], [2, 3]])
    await questions[1]?.answer()
    expect(await others).toEqual(['2', '3'])
  })

  test('is never more than so many at once', async () => {
    const { gathering, questions } = aGathering(2)
    const answers = Promise.all([1, 2, 3].map((wanted) => gathering.ask(wanted)))
    await turn()
    await questions[0]?.answer()
    await questions[1]?.answer()
    expect(questions.map(({ wanted }) => wanted)).toEqual([[1, 2], [3]])
    expect(await answers).toEqual(['1', '2', '3'])
  })

  test('is asked for while others wait for theirs, as often as may be under way', async () => {
    const under = aGathering(100, 2)
    const { gathering, questions } = under
    const answers: Promise<string>[] = []
    for (const wanted of [1, 2, 3, 4]) {
      answers.push(gathering.ask(wanted))
      await turn()
    }
    expect(questions.map(({ wanted }) => wanted)).toEqual([[1], [2]])
    await questions[1]?.answer()
    expect(questions.map(({ wanted }) => wanted)).toEqual([[1], [2], [3, 4]])
    await questions[2]?.answer()
    expect(under.idles).toBe(0)
    await questions[0]?.answer()
    expect(await Promise.all(answers)).toEqual(['1', '2', '3', '4'])
    expect(under.idles).toBe(1)
  })

  test('and can not be had is an error for those who asked for it, not for who comes after', async () => {
    const { gathering, questions } = aGathering()
    const failing = gathering.ask(1).catch((error: Error) => error.message)
    await turn()
    const after = gathering.ask(2)
    await questions[0]?.fail()
    await questions[1]?.answer()
    expect(await failing).toBe('away')
    expect(await after).toBe('2')
  })

  test('is at an end once nobody waits any more, and can begin again', async () => {
    const under = aGathering()
    const first = under.gathering.ask(1)
    await turn()
    expect(under.idles).toBe(0)
    await under.questions[0]?.answer()
    await first
    expect(under.idles).toBe(1)
    const second = under.gathering.ask(2)
    await turn()
    await under.questions[1]?.answer()
    expect(await second).toBe('2')
    expect(under.idles).toBe(2)
  })
})
