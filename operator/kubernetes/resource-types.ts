import { type ResourceKindName, resourceKinds, type ResourceOf } from '#core/resources/index.ts'
import { apiGroup, apiVersion } from '#core/resources/resource.ts'
import type { KubernetesObject, ResourceType } from '../runtime/objects.ts'

/** Where the API server keeps each of our kinds. */
export function resourceTypeOf(kind: ResourceKindName): ResourceType {
  return { group: apiGroup, version: apiVersion, plural: resourceKinds[kind].plural, namespaced: true }
}

export const secretType: ResourceType = { group: '', version: 'v1', plural: 'secrets', namespaced: true }

/** `apiVersion` of our kinds as objects carry it. */
export const ownApiVersion = `${apiGroup}/${apiVersion}`

/** An object of ours as the runtime handles it. */
export interface KubernetesResource<K extends ResourceKindName = ResourceKindName> extends KubernetesObject {
  readonly spec: ResourceOf[K]['spec']
  readonly status?: ResourceOf[K]['status']
}

/** One object, two views: the API server fills in all that a Resource promises. */
export function asResource<K extends ResourceKindName>(object: KubernetesResource<K>): ResourceOf[K] {
  return object as unknown as ResourceOf[K]
}

export function asObject<K extends ResourceKindName>(resource: ResourceOf[K]): KubernetesResource<K> {
  return resource as unknown as KubernetesResource<K>
}
