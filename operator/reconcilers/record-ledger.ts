import type { IssuedEnd } from '#core/credentials/barrier.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { recordFingerprint } from '#core/stores/identity-codecs.ts'
import type { IdentityRecord, IdentityRecordType } from '#core/stores/identity-records.ts'
import type { IdentityWriter, RemoveOptions } from '#core/stores/identity-store.ts'

/** Where a record stands in the store. */
export interface RecordAddress<T extends IdentityRecordType = IdentityRecordType> {
  readonly type: T
  readonly organization: OrganizationId
  readonly name: string
}

interface Entry {
  readonly owner: string
  readonly address: RecordAddress
  /** Of the record as it was written. */
  readonly fingerprint: string
}

/**
 * The only way to the store's writes. Remembers which object wrote which record, so that what an object wrote
 * can be removed when the object itself is gone, and so that nobody removes what another has written since.
 * Two writes of one record never overlap.
 */
export class RecordLedger {
  readonly #store: IdentityWriter
  readonly #entries = new Map<string, Entry>()
  /** By owner. Nearly every object has one record, and a collection of one would take more than the record. */
  readonly #written = new Map<string, Entry | readonly Entry[]>()
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #condemned = new Set<string>()

  constructor(store: IdentityWriter) {
    this.#store = store
  }

  /** Writes the record of `owner`; see IdentityWriter.put. */
  async put<T extends IdentityRecordType>(
    owner: string,
    address: RecordAddress<T>,
    record: IdentityRecord<T>,
    end?: IssuedEnd,
  ): Promise<boolean> {
    return await this.#alone(address, async () => {
      this.#condemned.delete(keyOfRecord(address))
      const { type, organization, name } = address
      const changed = await this.#store.put(type, organization, name, record, end)
      this.#assign({ owner, address, fingerprint: recordFingerprint(type, record) })
      return changed
    })
  }

  /** Removes the record, unless another than `owner` has written it. */
  async remove(owner: string, address: RecordAddress, options?: RemoveOptions): Promise<void> {
    await this.#alone(address, async () => {
      const current = this.#entries.get(keyOfRecord(address))
      if (current !== undefined && current.owner !== owner) return
      await this.#store.remove(address.type, address.organization, address.name, options)
      this.#forget(address)
    })
  }

  /** Forgets what `owner` wrote, and leaves it where it is. */
  abandon(owner: string): void {
    for (const address of this.written(owner)) this.#forget(address)
  }

  /** Removes a record whoever wrote it, where `isOrphan` still holds once nobody else works on it. */
  async removeOrphan(address: RecordAddress, isOrphan: () => boolean): Promise<boolean> {
    return await this.#alone(address, async () => {
      if (!isOrphan()) return false
      this.#forget(address)
      return await this.#store.remove(address.type, address.organization, address.name)
    })
  }

  /** Its object was deleted and is let go, but the store was away: the record goes with the next sweep. */
  condemn(owner: string, address: RecordAddress | undefined): void {
    for (const each of address === undefined ? this.written(owner) : [address, ...this.written(owner)]) {
      this.#condemned.add(keyOfRecord(each))
    }
    this.abandon(owner)
  }

  isCondemned(address: RecordAddress): boolean {
    return this.#condemned.has(keyOfRecord(address))
  }

  /** Whose records are not in the store any more as they were written. */
  async drifted(): Promise<readonly string[]> {
    const drifted: string[] = []
    for (const { type, organization, fingerprints } of this.#inGroups()) {
      for (const name of await this.#store.drifted(type, organization, fingerprints)) {
        const key = keyOfRecord({ type, organization, name })
        const entry = this.#entries.get(key)
        // It may have been written anew meanwhile.
        const isCurrent = entry?.fingerprint === fingerprints.get(name) && !this.#running.has(key)
        if (isCurrent && entry !== undefined) drifted.push(entry.owner)
      }
    }
    return drifted
  }

  #inGroups(): Iterable<{
    readonly type: IdentityRecordType
    readonly organization: OrganizationId
    readonly fingerprints: Map<string, string>
  }> {
    const groups = new Map<
      string,
      { type: IdentityRecordType; organization: OrganizationId; fingerprints: Map<string, string> }
    >()
    for (const { address, fingerprint } of this.#entries.values()) {
      const { type, organization, name } = address
      const of = `${organization}/${type}`
      const group = groups.get(of) ?? { type, organization, fingerprints: new Map<string, string>() }
      groups.set(of, group)
      group.fingerprints.set(name, fingerprint)
    }
    return groups.values()
  }

  /** What `owner` has written and nobody else since. */
  written(owner: string): readonly RecordAddress[] {
    return this.#entriesOf(owner).map(({ address }) => address)
  }

  #entriesOf(owner: string): readonly Entry[] {
    return [this.#written.get(owner) ?? []].flat() as readonly Entry[]
  }

  #assign(entry: Entry): void {
    this.#forget(entry.address)
    this.#entries.set(keyOfRecord(entry.address), entry)
    this.#setEntries(entry.owner, [...this.#entriesOf(entry.owner), entry])
  }

  #forget(address: RecordAddress): void {
    const entry = this.#entries.get(keyOfRecord(address))
    if (entry === undefined) return
    this.#entries.delete(keyOfRecord(address))
    this.#setEntries(
      entry.owner,
      this.#entriesOf(entry.owner).filter((other) => other !== entry),
    )
  }

  #setEntries(owner: string, entries: readonly Entry[]): void {
    const [first] = entries
    if (first === undefined) this.#written.delete(owner)
    else this.#written.set(owner, entries.length === 1 ? first : entries)
  }

  async #alone<T>(address: RecordAddress, work: () => Promise<T>): Promise<T> {
    const key = keyOfRecord(address)
    const before = this.#running.get(key) ?? Promise.resolve()
    const own = before.then(work, work)
    this.#running.set(key, own)
    try {
      return await own
    } finally {
      if (this.#running.get(key) === own) this.#running.delete(key)
    }
  }
}

export function keyOfRecord({ type, organization, name }: RecordAddress): string {
  return `${organization}/${type}/${name}`
}
