/**
 * Kubernetes objects as far as the runtime looks into them, and how they are addressed.
 *
 * A key is `namespace/name`, or `name` for a cluster-scoped object.
 */
export interface KubernetesObject {
  apiVersion?: string
  kind?: string
  metadata: ObjectMeta
}

export interface ObjectMeta {
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: unknown[]
}

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

/** Where the API server keeps a kind; `group` is '' for the core group. */
export interface ResourceType {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespaced: boolean
}

export interface ObjectName {
  readonly namespace?: string
  readonly name: string
}

export function keyOf({ metadata }: { metadata: ObjectName }): string {
  return metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name
}

export function parseKey(key: string): ObjectName {
  const slash = key.indexOf('/')
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

/** `/apis/<group>/<version>[/namespaces/<namespace>]/<plural>[/<name>][/<subresource>]` */
export function resourcePath(type: ResourceType, of: Partial<ObjectName>, subresource?: string): string {
  const root = type.group === '' ? ['api', type.version] : ['apis', type.group, type.version]
  const scope = type.namespaced && of.namespace ? ['namespaces', of.namespace] : []
  const parts = [...root, ...scope, type.plural, of.name, subresource].filter((part) => part !== undefined)
  return `/${parts.map(encodeURIComponent).join('/')}`
}

export function describeType(type: ResourceType): string {
  return type.group === '' ? type.plural : `${type.plural}.${type.group}`
}

/**
 * Whether `left` is an older version than `right`. Only versions of one type compare, and only decimal ones
 * (Kubernetes promises them since 1.35 and always had them); false when they do not.
 */
export function isOlderVersion(left: string | undefined, right: string | undefined): boolean {
  if (!isDecimal(left) || !isDecimal(right)) return false
  return left.length === right.length ? left < right : left.length < right.length
}

function isDecimal(version: string | undefined): version is string {
  return version !== undefined && /^\d+$/.test(version)
}
