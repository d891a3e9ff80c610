import { type IdentityRecord, type IdentityRecordType, identityRecordSchemas } from './identity-records.ts'
import { fingerprintOf, type RecordCodec, recordCodec } from './record-codec.ts'

const codecs = Object.fromEntries(
  Object.entries(identityRecordSchemas).map(([type, schema]) => [type, recordCodec(type, schema)]),
)

export function identityCodec<T extends IdentityRecordType>(type: T): RecordCodec<IdentityRecord<T>> {
  return codecs[type] as unknown as RecordCodec<IdentityRecord<T>>
}

/** Tells one content of a record from every other. */
export function recordFingerprint<T extends IdentityRecordType>(type: T, record: IdentityRecord<T>): string {
  return fingerprintOf(identityCodec(type).encode(record))
}
