import { type IdentityRecord, type IdentityRecordType, identityRecordSchemas } from './identity-records.ts'
import { type RecordCodec, recordCodec } from './record-codec.ts'

const codecs = Object.fromEntries(
  Object.entries(identityRecordSchemas).map(([type, schema]) => [type, recordCodec(type, schema)]),
)

export function identityCodec<T extends IdentityRecordType>(type: T): RecordCodec<IdentityRecord<T>> {
  return codecs[type] as unknown as RecordCodec<IdentityRecord<T>>
}
