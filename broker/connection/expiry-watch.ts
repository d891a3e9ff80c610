import { setTimeout as pause } from 'node:timers/promises'
import type { Admission } from '../admission/admission.ts'
import { lifeOf, sendOwn, wants } from '../own-topics/own-message.ts'
import { ownTopics } from '../own-topics/own-topics.ts'
import type { Connection } from './connection.ts'

/** Node's longest timer. */
const longestTimerMs = 2 ** 31 - 1
/** How long an end is put off to look whether the credential was renewed meanwhile. */
const longestLookMs = 500

type Ending = Admission & { readonly expiresAt: number }

/** Ends a connection when what it was let in by ends, however quiet it is, and says so ahead to who wants to know. */
export class ExpiryWatch {
  readonly #connection: Connection
  #timer: NodeJS.Timeout | undefined
  /** The end that was spoken of last. */
  #told: number | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The admission is another, or the end has come nearer. */
  arm(): void {
    this.close()
    const ending = this.#ending()
    if (ending === undefined) return
    const isToldNext = this.#connection.isOpened && this.#told !== ending.expiresAt
    const next = isToldNext ? this.#noticeAt(ending) : ending.expiresAt
    const left = Math.min(Math.max(next - this.#connection.options.now(), 0), longestTimerMs)
    this.#timer = setTimeout(() => this.#passed(), left)
  }

  /** The client wants to know from now on: at once where it would have been told already. */
  asked(): void {
    const ending = this.#ending()
    if (ending !== undefined && this.#connection.options.now() >= this.#noticeAt(ending)) this.#tell(ending)
  }

  #passed(): void {
    const ending = this.#ending()
    if (ending === undefined) return
    const now = this.#connection.options.now()
    if (now >= ending.expiresAt) return void this.#expire()
    if (this.#connection.isOpened && this.#told !== ending.expiresAt && now >= this.#noticeAt(ending))
      this.#tell(ending)
    this.arm()
  }

  #tell(ending: Ending): void {
    const { session, options } = this.#connection
    this.#told = ending.expiresAt
    if (session === undefined || !wants(session, ownTopics.expiring)) return
    const { expiresAt, renewableUntil } = ending
    const body = {
      ...lifeOf(expiresAt, options.now()),
      ...(renewableUntil === undefined
        ? {}
        : { renewable_until: new Date(Math.max(expiresAt, renewableUntil)).toISOString() }),
    }
    if (sendOwn(this.#connection, session, { topic: ownTopics.expiring, body })) {
      options.metrics.announcedExpiry()
    }
  }

  /** That it was renewed may not have been heard of yet. */
  async #expire(): Promise<void> {
    const look = this.#connection.review()
    await Promise.race([look, pause(longestLookMs, undefined, { ref: false })])
    const ending = this.#ending()
    if (ending !== undefined && ending.expiresAt <= this.#connection.options.now()) {
      await this.#connection.end('expired')
    }
  }

  #ending(): Ending | undefined {
    const { session, closed } = this.#connection
    const admission = session?.admission
    return closed || admission?.expiresAt === undefined ? undefined : (admission as Ending)
  }

  /** A tenth of its life ahead, but not too early. */
  #noticeAt({ expiresAt, issuedAt = -Infinity }: Ending): number {
    const { expiryNoticeMs } = this.#connection.options.limits
    return expiresAt - Math.min(expiryNoticeMs, (expiresAt - issuedAt) / 10)
  }
}
