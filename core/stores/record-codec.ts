import { createHash } from 'node:crypto'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { DomainError } from '#core/errors.ts'
import { parseJson } from '#core/json.ts'

/** Records as text, checked on the way back: what a store holds may be damaged or of another version. */
export interface RecordCodec<Record> {
  encode(record: Record): string
  /** Rejects what is no such record with `record-damaged`; never quotes it. */
  decode(text: string): Record
}

export function recordCodec<Schema extends TSchema>(
  name: string,
  schema: Schema,
): RecordCodec<Static<Schema>> {
  const validator = Compile(schema)
  return {
    encode: (record) => JSON.stringify(record),
    decode(text) {
      const value = parseJson(text)
      if (validator.Check(value)) return value as Static<Schema>
      throw new DomainError('record-damaged', `the store holds something that is no ${name} record`)
    },
  }
}

/** Tells one text of a record from another. */
export function fingerprintOf(text: string): string {
  return createHash('sha1').update(text).digest('base64')
}
