import type { Clock } from '#core/clock.ts'
import type { DocumentFetcher } from './document-fetcher.ts'
import { ProviderUnavailable } from './token-refused.ts'

export interface DocumentKey {
  /** Whose copy it is, such as `<organization>/<provider uid>`: nobody reads what was fetched for another. */
  readonly scope: string
  readonly url: string
  /** Who the document must say it is of, where it says that. */
  readonly issuer?: string
}

export interface RemoteDocumentsOptions<T> {
  readonly fetch: DocumentFetcher
  readonly now: Clock
  /** Throws when the document can not be used; it then counts as not fetched. */
  readonly parse: (text: string, key: DocumentKey) => T
  readonly watch?: DocumentWatch
}

/** What becomes of the documents of one kind. */
export interface DocumentWatch {
  fetched(isSuccess: boolean, seconds: number): void
  /** One that is older than it should be was used, because its issuer gives no newer one. */
  usedStale(): void
}

export interface DocumentCounts {
  readonly known: number
  /** Those that their issuer did not give when it was asked last. */
  readonly failing: number
}

interface Entry<T> {
  value: T | undefined
  fetchedAt: number
  freshUntil: number
  /** When the last attempt ended. */
  triedAt: number
  failure: unknown
  flight: Promise<void> | undefined
}

const minute = 60_000
const shortestFresh = minute
const longestFresh = 10 * minute
const staleFor = 24 * 60 * minute
const refetchCooldown = 30_000
const retryAfterFailure = 5_000
const mostEntries = 2_000
const limits = { timeoutMs: 5_000, maxBytes: 256 * 1024 }

/**
 * Documents of issuers (key sets, discovery), parsed. One request at a time per document, however many wait
 * for it. Fresh for what the issuer says, between one and ten minutes; while the issuer fails, the last good
 * one serves for up to a day.
 */
export class RemoteDocuments<T> {
  readonly #options: RemoteDocumentsOptions<T>
  readonly #entries = new Map<string, Entry<T>>()

  constructor(options: RemoteDocumentsOptions<T>) {
    this.#options = options
  }

  /** Rejects with ProviderUnavailable when there is none and the issuer gives none. */
  async get(key: DocumentKey): Promise<T> {
    const entry = this.#entry(key)
    if (entry.value !== undefined && this.#now < entry.freshUntil) return entry.value
    const mayRetry = entry.failure === undefined || this.#now >= entry.triedAt + retryAfterFailure
    if (this.#staleValue(entry) !== undefined && entry.failure !== undefined) {
      // The issuer failed just now: nobody waits for the next attempt.
      if (mayRetry) void this.#refresh(key, entry)
    } else if (mayRetry) {
      await this.#refresh(key, entry)
    }
    const value = this.#staleValue(entry)
    if (value !== undefined) {
      if (this.#now >= entry.freshUntil) this.#options.watch?.usedStale()
      return value
    }
    throw unavailable(key, entry.failure)
  }

  /**
   * Asks the issuer again, for something that the document lacks; at most every 30 s. Rejects with
   * ProviderUnavailable when the last attempt failed: what is missing may be there.
   */
  async getNewer(key: DocumentKey): Promise<T> {
    const entry = this.#entry(key)
    if (this.#now >= entry.triedAt + refetchCooldown) await this.#refresh(key, entry)
    if (entry.failure === undefined && entry.value !== undefined) return entry.value
    throw unavailable(key, entry.failure)
  }

  counts(): DocumentCounts {
    const entries = [...this.#entries.values()]
    return {
      known: entries.filter(({ value }) => value !== undefined).length,
      failing: entries.filter(({ failure }) => failure !== undefined).length,
    }
  }

  get #now(): number {
    return this.#options.now()
  }

  #staleValue(entry: Entry<T>): T | undefined {
    return this.#now < entry.fetchedAt + staleFor ? entry.value : undefined
  }

  #entry({ scope, url, issuer }: DocumentKey): Entry<T> {
    const id = `${scope}\n${url}\n${issuer ?? ''}`
    const entry = this.#entries.get(id) ?? {
      value: undefined,
      fetchedAt: -Infinity,
      freshUntil: -Infinity,
      triedAt: -Infinity,
      failure: undefined,
      flight: undefined,
    }
    // Last used, last dropped; in what order is of no matter while there is room.
    if (this.#entries.size >= mostEntries / 2) this.#entries.delete(id)
    this.#entries.set(id, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= mostEntries) break
      this.#entries.delete(oldest)
    }
    return entry
  }

  /** Never rejects: what went wrong is in the entry. */
  #refresh(key: DocumentKey, entry: Entry<T>): Promise<void> {
    entry.flight ??= this.#load(key, entry).finally(() => {
      entry.flight = undefined
    })
    return entry.flight
  }

  async #load(key: DocumentKey, entry: Entry<T>): Promise<void> {
    const { fetch, parse, watch } = this.#options
    const began = performance.now()
    try {
      const { text, maxAgeSeconds } = await fetch(key.url, limits)
      entry.value = parse(text, key)
      entry.failure = undefined
      entry.fetchedAt = this.#now
      const wanted = maxAgeSeconds === undefined ? longestFresh : maxAgeSeconds * 1000
      entry.freshUntil = this.#now + Math.min(Math.max(wanted, shortestFresh), longestFresh)
    } catch (error) {
      entry.failure = error
    }
    entry.triedAt = this.#now
    watch?.fetched(entry.failure === undefined, (performance.now() - began) / 1_000)
  }
}

function unavailable({ url }: DocumentKey, cause: unknown): ProviderUnavailable {
  return new ProviderUnavailable(`${url} could not be read`, Math.ceil(retryAfterFailure / 1000), cause)
}
