import { hash } from 'node:crypto'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { identityCodec } from './identity-codecs.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'

const mostRemembered = 10_000

/**
 * Decodes records, each only once for as long as its text stays the same: the store is asked every time, what it says is
 * parsed and checked again only when it says something new.
 */
export class DecodedRecords {
  readonly #remembered = new Map<string, { readonly text: string; readonly record: object }>()
  readonly #versions = new WeakMap<object, string>()

  decode<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    text: string,
  ): IdentityRecord<T> {
    const key = `${type}/${organization}/${name}`
    const remembered = this.#remembered.get(key)
    if (remembered?.text === text) return remembered.record as IdentityRecord<T>
    const record = identityCodec(type).decode(text)
    if (this.#remembered.size >= mostRemembered) this.#remembered.clear()
    this.#remembered.set(key, { text, record })
    this.#versions.set(record, versionOfText(text))
    return record
  }

  /** What was decoded last, where it is remembered. */
  recall<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): IdentityRecord<T> | undefined {
    return this.#remembered.get(`${type}/${organization}/${name}`)?.record as IdentityRecord<T> | undefined
  }

  /** There is no such record any more. */
  forget(type: IdentityRecordType, organization: OrganizationId, name: string): void {
    this.#remembered.delete(`${type}/${organization}/${name}`)
  }

  versionOf(record: object): string | undefined {
    return this.#versions.get(record)
  }
}

/** As `redis.sha1hex` has it: scripts compare it with what is there. */
export function versionOfText(text: string): string {
  return hash('sha1', text)
}
