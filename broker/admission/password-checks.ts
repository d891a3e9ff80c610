import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import { type Verifier, type VerifierBinding, verifySecret } from '#core/credentials/verifier.ts'
import { Generations } from './generations.ts'
import type { PasswordLoad } from './password-check-metrics.ts'

export interface PasswordCheckLimits {
  /** Hashed at a time. Node has four threads for everything that blocks, and others need them too. */
  readonly hashing: number
  /** Of those, the sum of their costs: scrypt takes a KiB of memory for each. One alone may have more. */
  readonly cost: number
  /** That wait for it; one more is turned away. */
  readonly waiting: number
  /** Hashed and waiting with one name: whoever guesses at it leaves room for others. */
  readonly ofName: number
  /** A password that was right is not hashed again for so long. */
  readonly rememberedMs: number
}

/** Of one: twice what we hash with. */
const usualCost = 32_768

/** What so many at a time may cost together. */
export const costOfHashing = (hashing: number): number => hashing * usualCost

const hashing = 2
export const defaultPasswordCheckLimits: PasswordCheckLimits = {
  hashing,
  cost: costOfHashing(hashing),
  waiting: 128,
  ofName: 16,
  rememberedMs: 30_000,
}

/** Nothing is known of the password: there was no time to look at it. */
export class TooManyPasswords extends Error {
  constructor() {
    super('too many passwords wait to be hashed')
    this.name = 'TooManyPasswords'
  }
}

const mostRemembered = 10_000

type ChosenVerifier = Extract<Verifier, { algorithm: 'scrypt' }>

interface Waiting {
  readonly cost: number
  start(): void
}

/**
 * Compares passwords with verifiers. One that a person chose takes tens of milliseconds of a thread and megabytes of
 * memory: few at a time, the same one only once, and one that was right lately not at all. What is remembered of it is
 * a digest of the password and its verifier under a key of this process, so that another verifier is another question.
 */
export class PasswordChecks {
  readonly #limits: PasswordCheckLimits
  readonly #now: Clock
  readonly #key = randomBytes(32)
  /** Until when. */
  readonly #right = new Generations<number>(mostRemembered)
  readonly #underWay = new Map<string, Promise<boolean>>()
  readonly #byName = new Map<string, number>()
  readonly #waiting: Waiting[] = []
  #hashing = 0
  #cost = 0
  #hashed = 0

  /** `now` in ms, and never going back. */
  constructor(now: Clock, limits: Partial<PasswordCheckLimits> = {}) {
    this.#now = now
    this.#limits = { ...defaultPasswordCheckLimits, ...limits }
  }

  /** Rejects with TooManyPasswords. */
  isRight(password: string, verifier: Verifier, binding: VerifierBinding): Promise<boolean> {
    return verifier.algorithm === 'scrypt'
      ? this.#isChosenRight(password, verifier, binding)
      : verifySecret(password, verifier, binding)
  }

  /** Now, and how many have been hashed. */
  load(): PasswordLoad {
    return { hashing: this.#hashing, waiting: this.#waiting.length, hashed: this.#hashed }
  }

  async #isChosenRight(
    password: string,
    verifier: ChosenVerifier,
    binding: VerifierBinding,
  ): Promise<boolean> {
    const question = this.#questionOf(password, verifier, binding)
    if ((this.#right.get(question) ?? -Infinity) > this.#now()) return true
    const known = this.#underWay.get(question)
    if (known !== undefined) return known
    const answer = this.#ask(binding.name, verifier.cost, () => verifySecret(password, verifier, binding))
    this.#underWay.set(question, answer)
    try {
      const isRight = await answer
      if (isRight) this.#right.set(question, this.#now() + this.#limits.rememberedMs)
      return isRight
    } finally {
      this.#underWay.delete(question)
    }
  }

  async #ask(name: string, cost: number, hash: () => Promise<boolean>): Promise<boolean> {
    const ofName = this.#byName.get(name) ?? 0
    if (ofName >= this.#limits.ofName) throw new TooManyPasswords()
    if (this.#waiting.length >= this.#limits.waiting && !this.#hasRoom(cost)) throw new TooManyPasswords()
    this.#byName.set(name, ofName + 1)
    await new Promise<void>((start) => {
      this.#waiting.push({ cost, start })
      this.#next()
    })
    try {
      return await hash()
    } finally {
      this.#hashing -= 1
      this.#hashed += 1
      this.#cost -= cost
      const left = (this.#byName.get(name) ?? 1) - 1
      if (left === 0) this.#byName.delete(name)
      else this.#byName.set(name, left)
      this.#next()
    }
  }

  #next(): void {
    for (;;) {
      const first = this.#waiting[0]
      if (first === undefined || !this.#hasRoom(first.cost)) return
      this.#waiting.shift()
      this.#hashing += 1
      this.#cost += first.cost
      first.start()
    }
  }

  #hasRoom(cost: number): boolean {
    if (this.#hashing === 0) return true
    return this.#hashing < this.#limits.hashing && this.#cost + cost <= this.#limits.cost
  }

  #questionOf(password: string, verifier: Verifier, { kind, name }: VerifierBinding): string {
    const text = JSON.stringify([kind, name, verifier, password])
    return createHmac('sha256', this.#key).update(text).digest('base64url')
  }
}
