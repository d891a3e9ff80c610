import type { KeyObject } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import type { SignatureAlgorithm } from '../providers/provider.ts'
import type { DocumentFetcher } from './document-fetcher.ts'
import type { JwkSet } from './jwk-set.ts'
import {
  type DocumentCounts,
  type DocumentKey,
  type DocumentWatch,
  RemoteDocuments,
} from './remote-documents.ts'
import { TokenRefused } from './token-refused.ts'

export interface JwksCacheOptions {
  readonly fetch: DocumentFetcher
  readonly now: Clock
  readonly watch?: DocumentWatch
  /** Reads the issuer's list of keys; throws when it is none. */
  readonly parse: (text: string) => JwkSet
}

const absentFor = 60_000
const mostAbsent = 5_000

/** Keys of issuers by (scope, address) and key id. An unknown key id costs the issuer little, and us nothing. */
export class JwksCache {
  readonly #sets: RemoteDocuments<JwkSet>
  readonly #now: Clock
  /** Key ids that were looked for in vain, and until when that is believed. */
  readonly #absent = new Map<string, number>()

  constructor(options: JwksCacheOptions) {
    this.#sets = new RemoteDocuments(options)
    this.#now = options.now
  }

  /** Rejects with TokenRefused `unknown_key`, or with ProviderUnavailable when that can not be said. */
  async find(document: DocumentKey, kid: string, algorithm: SignatureAlgorithm): Promise<KeyObject> {
    const known = (await this.#sets.get(document)).find(kid, algorithm)
    if (known !== undefined) return known
    const id = `${document.scope}\n${document.url}\n${algorithm}\n${kid}`
    if (this.#now() < (this.#absent.get(id) ?? 0)) throw unknownKey()
    const found = (await this.#sets.getNewer(document)).find(kid, algorithm)
    if (found !== undefined) return found
    this.#remember(id)
    throw unknownKey()
  }

  counts(): DocumentCounts {
    return this.#sets.counts()
  }

  #remember(id: string): void {
    this.#absent.delete(id)
    this.#absent.set(id, this.#now() + absentFor)
    for (const oldest of this.#absent.keys()) {
      if (this.#absent.size <= mostAbsent) break
      this.#absent.delete(oldest)
    }
  }
}

function unknownKey(): TokenRefused {
  return new TokenRefused('unknown_key', 'the issuer publishes no key of that id and algorithm')
}
