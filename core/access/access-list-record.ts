import { Type } from 'typebox'
import { AccessRuleSchema } from './access-rule.ts'

/** A list as the data plane reads it; the record's name is the AccessList's `metadata.name`. */
export const AccessListRecordSchema = Type.Object({ rules: Type.Array(AccessRuleSchema) })
