import { Type, type Static } from 'typebox'
import { AccessRuleSchema } from '#core/access/access-rule.ts'
import { wholeDenies } from './deny-rules.ts'
import { closed, organizationRef } from './fields.ts'
import { immutableOrganization } from './organization-ref.ts'
import { commonStatus, readyColumns, type Resource, type ResourceKind } from './resource.ts'

export const AccessListSpecSchema = Type.Object(
  {
    organizationRef,
    rules: Type.Array(AccessRuleSchema, {
      maxItems: 256,
      description: 'Deny wins, otherwise an allow must match.',
    }),
  },
  closed,
)
export type AccessListSpec = Static<typeof AccessListSpecSchema>

export const AccessListStatusSchema = Type.Object({ ...commonStatus })
export type AccessListStatus = Static<typeof AccessListStatusSchema>
export type AccessList = Resource<AccessListSpec, AccessListStatus>

export const accessListKind: ResourceKind<typeof AccessListSpecSchema, typeof AccessListStatusSchema> = {
  kind: 'AccessList',
  plural: 'accesslists',
  singular: 'accesslist',
  shortNames: ['mal'],
  description:
    'What may be published and subscribed, with identity variables, for everyone who refers to it.',
  spec: AccessListSpecSchema,
  status: AccessListStatusSchema,
  rules: [immutableOrganization(), wholeDenies('rules')],
  columns: [
    { name: 'Organization', type: 'string', jsonPath: '.spec.organizationRef.name' },
    ...readyColumns,
  ],
}
