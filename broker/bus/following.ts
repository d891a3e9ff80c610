import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Lost, Receive } from './bus.ts'
import { type Answer, type Batch, decodeFrame, type Head } from './frames.ts'
import { IncomingStream } from './incoming-stream.ts'
import { Solitude, solitudeMs } from './solitude.ts'

export interface FollowingOptions {
  readonly organization: OrganizationId
  readonly receive: Receive
  readonly lost: Lost
  readonly ask: (sender: string, first: number, last: number, age: number) => void
  readonly isServedElsewhere: () => Promise<boolean>
  readonly now: () => number
}

/** A sender that was silent for so long is gone. */
const forgetAfterMs = 3_600_000

/** Clocks of two machines do not run alike. */
const longestGreetingMs = solitudeMs * 1.5

interface Followed {
  readonly stream: IncomingStream
  heardAt: number
}

/** One organization as this replica follows it: a stream per sender. */
export class Following {
  readonly #options: FollowingOptions
  readonly #senders = new Map<string, Followed>()
  readonly #greetings = new Set<string>()
  #allGreeted: { readonly count: number; readonly resolve: () => void } | undefined
  #since: number
  #wasInterrupted = false
  /** Interrupted, and not resumed yet. */
  isInterrupted = false
  readonly solitude: Solitude

  get organization(): OrganizationId {
    return this.#options.organization
  }

  constructor(options: FollowingOptions) {
    this.#options = options
    this.#since = options.now()
    this.solitude = new Solitude(options)
  }

  /** The channel is subscribed. */
  started(): void {
    this.#since = this.#options.now()
  }

  /**
   * Resolves once so many others know that this replica follows the organization too, or whoever does not can
   * not take itself for the only one any more.
   */
  greeted(count: number): Promise<void> | undefined {
    if (this.#greetings.size >= count) return undefined
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longestGreetingMs)
      this.#allGreeted = {
        count,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      }
    })
  }

  /** The channel was not subscribed for a while: something may have been missed. */
  interrupted(): void {
    this.#wasInterrupted = true
    this.isInterrupted = true
    this.solitude.disturb()
  }

  /** It is subscribed again. */
  resumed(): void {
    this.isInterrupted = false
    this.#options.lost(0)
  }

  received(batch: Batch, bytes: number): void {
    this.#from(batch.sender).received({ batch, bytes })
  }

  announced({ sender, sequence, purpose }: Head): void {
    this.#from(sender).announced(sequence)
    if (purpose !== 'answer') return
    this.#greetings.add(sender)
    if (this.#greetings.size >= (this.#allGreeted?.count ?? Infinity)) this.#allGreeted?.resolve()
  }

  answered({ sender, sequence, lost, batches }: Answer): void {
    const received = batches.flatMap((bytes) => {
      const batch = decodeFrame(bytes)
      return batch?.kind === 'batch' && batch.sender === sender ? [{ batch, bytes: bytes.length }] : []
    })
    this.#from(sender).answered(sequence, lost, received)
  }

  forgetSilent(): void {
    const limit = this.#options.now() - forgetAfterMs
    for (const [sender, { stream, heardAt }] of this.#senders) {
      if (heardAt > limit) continue
      stream.close()
      this.#senders.delete(sender)
    }
  }

  close(): void {
    for (const { stream } of this.#senders.values()) stream.close()
    this.#senders.clear()
    this.#allGreeted?.resolve()
  }

  #from(sender: string): IncomingStream {
    const { receive, lost, ask, now } = this.#options
    this.solitude.disturb()
    const known = this.#senders.get(sender)
    if (known !== undefined) {
      known.heardAt = now()
      return known.stream
    }
    const stream = new IncomingStream({
      deliver: ({ messages }) => messages.forEach(receive),
      ask: (first, last) => ask(sender, first, last, now() - this.#since),
      lost,
      isComplete: () => !this.#wasInterrupted,
    })
    this.#senders.set(sender, { stream, heardAt: now() })
    return stream
  }
}
