/**
 * Adds and takes away one finalizer, leaving those of others. Both reject with `conflict` when the object is no
 * longer the one given; the next reconcile then sees the newer one.
 */
import { isApiError } from '../../kubernetes/api-error.ts'
import type { KubernetesApi } from './kubernetes-api.ts'
import type { KubernetesObject, ResourceType } from './objects.ts'

type Patcher = Pick<KubernetesApi, 'mergePatch'>

export function hasFinalizer(object: KubernetesObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false
}

/** Resolves with the object as it is then; no call when it is there already. */
export async function addFinalizer<T extends KubernetesObject>(
  api: Patcher,
  type: ResourceType,
  object: T,
  finalizer: string,
): Promise<T> {
  if (hasFinalizer(object, finalizer)) return object
  return await patchFinalizers(api, type, object, [...(object.metadata.finalizers ?? []), finalizer])
}

/** An object already gone is what the caller wants. */
export async function removeFinalizer<T extends KubernetesObject>(
  api: Patcher,
  type: ResourceType,
  object: T,
  finalizer: string,
): Promise<void> {
  if (!hasFinalizer(object, finalizer)) return
  const others = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer)
  try {
    await patchFinalizers(api, type, object, others)
  } catch (error) {
    if (!isApiError(error, 'not-found')) throw error
  }
}

function patchFinalizers<T extends KubernetesObject>(
  api: Patcher,
  type: ResourceType,
  { metadata }: T,
  finalizers: string[],
): Promise<T> {
  const { resourceVersion } = metadata
  const options = resourceVersion === undefined ? {} : { resourceVersion }
  return api.mergePatch<T>(type, metadata, { metadata: { finalizers } }, options)
}
