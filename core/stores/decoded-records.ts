import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { identityCodec } from './identity-codecs.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'

const mostRemembered = 10_000

/** Records that are read for one request after the other. */
const shared: ReadonlySet<IdentityRecordType> = new Set(['organization', 'user', 'access-list', 'provider'])

/**
 * Decodes records, those that are shared only once for as long as their text stays the same: the store is asked
 * every time, what it says is parsed and checked again only when it says something new.
 */
export class DecodedRecords {
  readonly #remembered = new Map<string, { readonly text: string; readonly record: unknown }>()

  decode<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    text: string,
  ): IdentityRecord<T> {
    if (!shared.has(type)) return identityCodec(type).decode(text)
    const key = `${type}/${organization}/${name}`
    const remembered = this.#remembered.get(key)
    if (remembered?.text === text) return remembered.record as IdentityRecord<T>
    const record = identityCodec(type).decode(text)
    if (this.#remembered.size >= mostRemembered) this.#remembered.clear()
    this.#remembered.set(key, { text, record })
    return record
  }
}
