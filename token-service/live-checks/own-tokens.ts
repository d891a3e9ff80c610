import type { Clock } from '#core/clock.ts'

export interface FetchedToken {
  readonly token: string
  /** How long it lives. */
  readonly seconds: number
}

interface Entry {
  /** What it was fetched for; another secret needs another token. */
  readonly version: string
  readonly token: Promise<string>
  until: number
}

const mostEntries = 2_000
const longestMs = 3_600_000

/** Access tokens of our own at providers' APIs: fetched once, and anew a while before they end. */
export class OwnTokens {
  readonly #now: Clock
  readonly #entries = new Map<string, Entry>()

  constructor(now: Clock) {
    this.#now = now
  }

  get(scope: string, version: string, fetch: () => Promise<FetchedToken>): Promise<string> {
    const known = this.#entries.get(scope)
    if (known !== undefined && known.version === version && this.#now() < known.until) return known.token
    const began = this.#now()
    const fetched = fetch()
    const entry: Entry = { version, token: fetched.then(({ token }) => token), until: Infinity }
    this.#entries.delete(scope)
    this.#entries.set(scope, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= mostEntries) break
      this.#entries.delete(oldest)
    }
    fetched.then(
      ({ seconds }) => (entry.until = began + Math.min(seconds * 900, longestMs)),
      () => (entry.until = -Infinity),
    )
    return entry.token
  }

  forget(scope: string): void {
    this.#entries.delete(scope)
  }
}
