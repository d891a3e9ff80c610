import {
  type QueuedMessage,
  type QueueStep,
  type SessionOwner,
  type SessionPersistence,
} from '../persistence/session-persistence.ts'

export interface SessionQueueOptions {
  readonly persistence: SessionPersistence
  readonly owner: SessionOwner
}

/** A message that was read from the queue may still come live, this long after it was stored. */
const lateMs = 30_000

interface Step {
  readonly step: QueueStep | undefined
  readonly written: (() => void) | undefined
}

/**
 * A connection's end of its session's queue. Every message above QoS 0 is in the queue before it comes live, so
 * the connection follows one of two ways: live, as messages come; or behind, page by page from the queue, until
 * a page is the last one and nothing came live while it was read.
 */
export class SessionQueue {
  readonly #options: SessionQueueOptions
  readonly #failed: () => void
  #steps: Step[] = []
  #writing: Promise<void> | undefined
  /** Names of what is done and may still be in a page: not written yet, or written after it was asked for. */
  readonly #done = new Set<string>()
  #doneWhileReading: string[] = []
  #cursor = ''
  #isBehind = false
  #isReading = false
  #cameLive = false
  /** Read from the queue a moment ago: each may come live once more. */
  readonly #late = new Set<string>()
  #forgetting: NodeJS.Timeout | undefined

  /** `failed` is called when the store did not answer; what depended on it is not done. */
  constructor(options: SessionQueueOptions, failed: () => void) {
    this.#options = options
    this.#failed = failed
  }

  get isBehind(): boolean {
    return this.#isBehind
  }

  /** From here on messages are read from the queue, from its beginning. */
  fallBehind(): void {
    this.#isBehind = true
    this.#cursor = ''
    this.#cameLive = true
  }

  /** Something was put behind what was read last. */
  more(): void {
    this.#isBehind = true
    this.#cameLive = true
  }

  /** Whether a message that comes live is to be sent now: not when it will be, or was, read from the queue. */
  takesLive(name: string): boolean {
    this.#cameLive = true
    return !this.#isBehind && !this.#late.delete(name)
  }

  /** The next messages while behind; undefined when it is not, or is reading already. */
  async read(count: number): Promise<readonly QueuedMessage[] | undefined> {
    if (!this.#isBehind || this.#isReading) return undefined
    this.#isReading = true
    this.#cameLive = false
    const from = this.#cursor
    try {
      const { persistence, owner } = this.#options
      const page = await persistence.outgoingPage(owner, from, count)
      for (const { name, storedAt } of page.messages) {
        if (page.now - storedAt < lateMs) this.#late.add(name)
      }
      this.#cursor = page.next
      if (page.isLast && !this.#cameLive) this.#isBehind = false
      if (this.#late.size > 0) this.#forgetLater()
      return page.messages.filter(({ name }) => !this.#done.has(name))
    } catch {
      this.#failed()
      return undefined
    } finally {
      this.#isReading = false
      for (const name of this.#doneWhileReading) this.#done.delete(name)
      this.#doneWhileReading = []
    }
  }

  /**
   * Remembers a step, then calls `written`; without a step it only waits for those before it. Steps that come
   * while others are being written become one write.
   */
  write(step: QueueStep | undefined, written?: () => void): void {
    if (step === undefined && this.#writing === undefined) return written?.()
    if (step?.kind === 'done') this.#done.add(step.name)
    this.#steps.push({ step, written })
    this.#writing ??= this.#writeAll()
  }

  /** Resolves once every step so far is remembered, or can not be. */
  async close(): Promise<void> {
    clearTimeout(this.#forgetting)
    this.#isBehind = false
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    const { persistence, owner } = this.#options
    // What the same turn brings goes along.
    await Promise.resolve()
    try {
      while (this.#steps.length > 0) {
        const steps = this.#steps
        this.#steps = []
        const changes = steps.flatMap(({ step }) => (step === undefined ? [] : [step]))
        if (changes.length > 0) await persistence.outgoingApply(owner, changes)
        for (const { step, written } of steps) {
          if (step?.kind === 'done') this.#forgetDone(step.name)
          written?.()
        }
      }
    } catch {
      this.#steps = []
      this.#failed()
    } finally {
      this.#writing = undefined
    }
  }

  #forgetDone(name: string): void {
    if (this.#isReading) this.#doneWhileReading.push(name)
    else this.#done.delete(name)
  }

  #forgetLater(): void {
    clearTimeout(this.#forgetting)
    this.#forgetting = setTimeout(() => this.#late.clear(), lateMs).unref()
  }
}
