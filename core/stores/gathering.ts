interface Waiting<Wanted, Answer> {
  readonly wanted: Wanted
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export interface GatheringOptions<Wanted, Answer> {
  /** Of one question. */
  readonly most: number
  /** Answers in the same order. */
  readonly ask: (wanted: readonly Wanted[]) => Promise<readonly Answer[]>
  /** Nobody waits any more. */
  readonly idle: () => void
}

/**
 * One question to a store at a time: what is wanted meanwhile is gathered for the next one. Alone, nobody waits;
 * in a crowd the store is asked as often as it can answer, for all of them. Everybody gets an answer of their
 * own, and those of one question its error.
 */
export class Gathering<Wanted, Answer> {
  readonly #options: GatheringOptions<Wanted, Answer>
  #waiting: Waiting<Wanted, Answer>[] = []
  #isAsking = false

  constructor(options: GatheringOptions<Wanted, Answer>) {
    this.#options = options
  }

  ask(wanted: Wanted): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wanted, resolve, reject })
      if (this.#isAsking) return
      this.#isAsking = true
      // What comes in the same turn of the event loop goes with it.
      setImmediate(() => void this.#goOn())
    })
  }

  async #goOn(): Promise<void> {
    const { most, ask, idle } = this.#options
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
    this.#isAsking = false
    idle()
  }
}
