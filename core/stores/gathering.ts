import { atEndOfTurn } from '#core/process/end-of-turn.ts'

interface Waiting<Wanted, Answer> {
  readonly wanted: Wanted
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export interface GatheringOptions<Wanted, Answer> {
  /** Of one question. */
  readonly most: number
  /** Questions under way at a time; one unless said. The store takes them in order. */
  readonly atOnce?: number
  /** Answers in the same order. */
  readonly ask: (wanted: readonly Wanted[]) => Promise<readonly Answer[]>
  /** Nobody waits any more. */
  readonly idle: () => void
}

/**
 * Few questions to a store at a time: what is wanted meanwhile is gathered for the next one. Alone, nobody waits;
 * in a crowd the store is asked as often as it can answer, for all of them. Everybody gets an answer of their
 * own, and those of one question its error.
 */
export class Gathering<Wanted, Answer> {
  readonly #options: GatheringOptions<Wanted, Answer>
  #waiting: Waiting<Wanted, Answer>[] = []
  /** Questions under way, or about to be. */
  #asking = 0
  /** One of them begins at the end of this turn of the event loop. */
  #isDue = false

  constructor(options: GatheringOptions<Wanted, Answer>) {
    this.#options = options
  }

  ask(wanted: Wanted): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wanted, resolve, reject })
      if (this.#isDue || this.#asking >= (this.#options.atOnce ?? 1)) return
      this.#isDue = true
      this.#asking += 1
      // What comes in the same turn of the event loop goes with it.
      atEndOfTurn(() => void this.#goOn())
    })
  }

  async #goOn(): Promise<void> {
    const { most, ask, idle } = this.#options
    this.#isDue = false
    while (this.#waiting.length > 0) {
      const some = this.#waiting
      this.#waiting = some.length > most ? some.splice(most) : []
      try {
        const answers = await ask(some.map(({ wanted }) => wanted))
        for (let index = 0; index < some.length; index += 1) some[index]?.resolve(answers[index] as Answer)
      } catch (error) {
        for (const { reject } of some) reject(error)
      }
    }
    this.#asking -= 1
    if (this.#asking === 0) idle()
  }
}
