import type { Clock } from '#core/clock.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import type { FoundApiKey } from '#core/stores/identity-store.ts'

const hourMs = 3_600_000
const retryMs = 60_000
const mostKeys = 10_000

/** Notes that a key was used, at most once an hour for each. Nobody waits for it, and nothing fails with it. */
export class KeyUses {
  readonly #uses: ApiKeyUses
  readonly #now: Clock
  readonly #log: Log
  /** By uid: until when its use is no news. */
  readonly #known = new Map<string, number>()

  constructor({ uses, now, log }: { readonly uses: ApiKeyUses; readonly now: Clock; readonly log: Log }) {
    this.#uses = uses
    this.#now = now
    this.#log = log
  }

  used({ organization, record: { uid } }: FoundApiKey): void {
    const now = this.#now()
    if (now < (this.#known.get(uid) ?? 0)) return
    this.#remember(uid, now + hourMs)
    this.#uses.note(organization, uid, now).catch((error: unknown) => {
      this.#remember(uid, now + retryMs)
      this.#log.debug(errorFields(error), 'the use of an API key could not be noted')
    })
  }

  #remember(uid: string, until: number): void {
    this.#known.delete(uid)
    this.#known.set(uid, until)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostKeys) break
      this.#known.delete(oldest)
    }
  }
}
