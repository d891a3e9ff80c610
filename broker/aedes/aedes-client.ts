/**
 * What aedes asks of a client that it did not make itself. Its own Client is not used: it speaks 3.1.1 only,
 * and its handlers acknowledge before they store.
 */
export interface AedesClient {
  /** `<principal>/<client id>`: unique in the organization. */
  readonly id: string
  readonly clean: boolean
  readonly version: number
  readonly closed: boolean
  /** Aedes forgets another replica's counters here when that replica starts anew. */
  readonly duplicates: Record<string, number>
  /** Called when the same client has connected elsewhere; `done` once it is gone. */
  close(done?: () => void): void
}
