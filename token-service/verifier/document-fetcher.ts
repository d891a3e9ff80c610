/** How documents of issuers are read. In the program it is the guarded fetch; a test passes its own. */
export type DocumentFetcher = (url: string, limits: FetchLimits) => Promise<FetchedDocument>

export interface FetchLimits {
  /** For all of it: name, connection, answer. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

export interface FetchedDocument {
  readonly text: string
  /** `max-age` of Cache-Control, where the issuer gave one. */
  readonly maxAgeSeconds?: number | undefined
}
