import type { ResourceKindName } from '#core/resources/index.ts'
import { apiGroup } from '#core/resources/resource.ts'
import type { KubernetesObject, ObjectMeta } from '../runtime/objects.ts'
import { type KubernetesResource, ownApiVersion } from './resource-types.ts'

/** What holds an object until its records are gone. */
export const recordsFinalizer = 'cloudsignal.app/records'

const onlyRecords = [recordsFinalizer]
const ownAnnotation = `${apiGroup}/`

/**
 * What of an object of ours is kept: what reconcilers read. Labels, owners and foreign annotations are not, so that
 * whoever changes them causes no reconcile. Built anew rather than cut down: V8 keeps an object that fields were
 * deleted from as a table of its own, four times as large.
 */
export function cachedObject<K extends ResourceKindName>(
  kind: K,
  { metadata, spec, status }: KubernetesResource<K>,
): KubernetesResource<K> {
  const object = { apiVersion: ownApiVersion, kind, metadata: cachedMetadata(metadata), spec }
  return status === undefined ? object : { ...object, status }
}

function cachedMetadata(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp } = metadata
  const { deletionTimestamp, finalizers } = metadata
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) =>
    key.startsWith(ownAnnotation),
  )
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(generation === undefined ? {} : { generation }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(finalizers === undefined ? {} : { finalizers: shared(finalizers) }),
    ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
  }
}

/** Nearly all objects have the same. */
function shared(finalizers: string[]): string[] {
  return finalizers.length === 1 && finalizers[0] === recordsFinalizer ? onlyRecords : finalizers
}

/** A cluster may hold many thousand Secrets, and all that matters of them is that they changed. */
export function cachedSecret({ metadata }: KubernetesObject): KubernetesObject {
  const { name, namespace, uid, resourceVersion } = metadata
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  }
}
