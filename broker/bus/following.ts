import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Lost, Receive } from './bus.ts'
import { type Answer, type Batch, decodeFrame, type Head } from './frames.ts'
import { IncomingStream } from './incoming-stream.ts'

export interface FollowingOptions {
  readonly organization: OrganizationId
  readonly receive: Receive
  readonly lost: Lost
  readonly ask: (sender: string, first: number, last: number, age: number) => void
  readonly now: () => number
}

/** A sender that was silent for so long is gone. */
const forgetAfterMs = 3_600_000

interface Followed {
  readonly stream: IncomingStream
  heardAt: number
}

/** One organization as this replica follows it: a stream per sender. */
export class Following {
  readonly #options: FollowingOptions
  readonly #senders = new Map<string, Followed>()
  #since: number
  #wasInterrupted = false
  /** Interrupted, and not resumed yet. */
  isInterrupted = false

  get organization(): OrganizationId {
    return this.#options.organization
  }

  constructor(options: FollowingOptions) {
    this.#options = options
    this.#since = options.now()
  }

  /** The channel is subscribed. */
  started(): void {
    this.#since = this.#options.now()
  }

  /** The channel was not subscribed for a while: something may have been missed. */
  interrupted(): void {
    this.#wasInterrupted = true
    this.isInterrupted = true
  }

  /** It is subscribed again. */
  resumed(): void {
    this.isInterrupted = false
    this.#options.lost(0)
  }

  received(batch: Batch, bytes: number): void {
    this.#from(batch.sender).received({ batch, bytes })
  }

  announced({ sender, sequence }: Head): void {
    this.#from(sender).announced(sequence)
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
  }

  #from(sender: string): IncomingStream {
    const { receive, lost, ask, now } = this.#options
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
