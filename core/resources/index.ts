import { type AccessList, accessListKind } from './access-list.ts'
import { type ApiKey, apiKeyKind } from './api-key.ts'
import { type IdentityProvider, identityProviderKind } from './identity-provider.ts'
import { type MqttUser, mqttUserKind } from './mqtt-user.ts'
import { type Organization, organizationKind } from './organization.ts'

/** Every kind of ours. A new one is one file and one line here. */
export const resourceKinds = {
  Organization: organizationKind,
  AccessList: accessListKind,
  IdentityProvider: identityProviderKind,
  ApiKey: apiKeyKind,
  MqttUser: mqttUserKind,
} as const

export type ResourceKindName = keyof typeof resourceKinds

export interface ResourceOf {
  Organization: Organization
  AccessList: AccessList
  IdentityProvider: IdentityProvider
  ApiKey: ApiKey
  MqttUser: MqttUser
}

export type AnyResource = ResourceOf[ResourceKindName]

export const resourceKindNames = Object.keys(resourceKinds) as ResourceKindName[]

export function isResourceKindName(text: string): text is ResourceKindName {
  return Object.hasOwn(resourceKinds, text)
}
