import { ownerOf, type ResourceAddress } from '../reconcilers/reconciler.ts'
import { keyOf, type KubernetesObject } from '../runtime/objects.ts'

interface Seen {
  readonly version: string | undefined
  /** As `ownerOf` names them; a set only where several share the Secret. */
  readers: string | Set<string>
}

/** Which objects have had the newest version of a Secret read for them. Each has to see it, however many share it. */
export class SeenSecrets {
  readonly #seen = new Map<string, Seen>()

  add(secret: KubernetesObject, reader: ResourceAddress): void {
    const key = keyOf(secret)
    const version = secret.metadata.resourceVersion
    const owner = ownerOf(reader)
    const seen = this.#seen.get(key)
    if (seen === undefined || seen.version !== version) this.#seen.set(key, { version, readers: owner })
    else if (typeof seen.readers !== 'string') seen.readers.add(owner)
    else if (seen.readers !== owner) seen.readers = new Set([seen.readers, owner])
  }

  has(secret: KubernetesObject, reader: ResourceAddress): boolean {
    const seen = this.#seen.get(keyOf(secret))
    if (seen === undefined || seen.version !== secret.metadata.resourceVersion) return false
    const owner = ownerOf(reader)
    return typeof seen.readers === 'string' ? seen.readers === owner : seen.readers.has(owner)
  }

  forget(secret: KubernetesObject): void {
    this.#seen.delete(keyOf(secret))
  }
}
