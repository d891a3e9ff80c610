/** Which updates of an object are worth a reconcile. All are pure. */
import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from './objects.ts'

/**
 * Everything but a write of the status: another generation, label, annotation, finalizer, owner or the mark of
 * deletion. Kinds without a generation, such as Secrets, count as changed with each new version.
 */
export function hasChanged(object: KubernetesObject, before: KubernetesObject): boolean {
  return significant(object) !== significant(before) || !sameMetadata(object, before)
}

/** Whether its status speaks of what it is now. One of which it does not was made or changed while nobody looked. */
export function isObserved(object: KubernetesObject): boolean {
  const { generation } = object.metadata
  const { status } = object as { readonly status?: { readonly observedGeneration?: unknown } }
  return generation !== undefined && status?.observedGeneration === generation
}

function significant({ metadata }: KubernetesObject): string {
  return metadata.generation === undefined ? `v${metadata.resourceVersion}` : `g${metadata.generation}`
}

function sameMetadata({ metadata: left }: KubernetesObject, { metadata: right }: KubernetesObject): boolean {
  return (
    left.deletionTimestamp === right.deletionTimestamp &&
    isDeepStrictEqual(left.labels, right.labels) &&
    isDeepStrictEqual(left.annotations, right.annotations) &&
    isDeepStrictEqual(left.finalizers, right.finalizers) &&
    isDeepStrictEqual(left.ownerReferences, right.ownerReferences)
  )
}
