import { type ResourceKindName, resourceKindNames, resourceKinds } from '#core/resources/index.ts'
import { apiGroup } from '#core/resources/resource.ts'
import { Gathering } from '#core/stores/gathering.ts'
import type { Fate } from '../reconcilers/host.ts'
import { isApiError } from '../../kubernetes/api-error.ts'
import type { KubernetesApi } from '../runtime/kubernetes-api.ts'
import { keyOf, type KubernetesObject, type ResourceType } from '../runtime/objects.ts'
import type { ClusterCache } from './cluster-cache.ts'

const crdType: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  namespaced: false,
}

const rememberedDeletions = 20_000

/**
 * Which objects somebody has deleted, and which are merely missing. A list that lacks an object proves nothing, and
 * when a kind is removed from the API server all objects of it are deleted, though nobody meant any of them.
 */
export class Deletions {
  readonly #api: Pick<KubernetesApi, 'get'>
  readonly #cache: ClusterCache
  readonly #seen = new Set<string>()
  readonly #kinds: Gathering<ResourceKindName, boolean>

  constructor(api: Pick<KubernetesApi, 'get'>, cache: ClusterCache) {
    this.#api = api
    this.#cache = cache
    this.#kinds = new Gathering({ most: 1_000, ask: (kinds) => this.#areGoing(kinds), idle() {} })
    for (const kind of resourceKindNames) {
      cache.of(kind).addHandler({
        added: (object) => void this.#seen.delete(`${kind} ${keyOf(object)}`),
        deleted: (object, isMissing) => isMissing || this.#remember(`${kind} ${keyOf(object)}`),
      })
    }
  }

  async fateOf(kind: ResourceKindName, key: string): Promise<Fate> {
    const isMarked = this.#cache.of(kind).store.get(key)?.metadata.deletionTimestamp !== undefined
    const wasSeen = isMarked || this.#seen.has(`${kind} ${key}`)
    if (await this.#kinds.ask(kind)) return 'kind-removed'
    return wasSeen ? 'deleted' : 'missing'
  }

  #remember(item: string): void {
    this.#seen.add(item)
    if (this.#seen.size <= rememberedDeletions) return
    const [oldest = ''] = this.#seen
    this.#seen.delete(oldest)
  }

  async #areGoing(kinds: readonly ResourceKindName[]): Promise<boolean[]> {
    const going = new Map<ResourceKindName, boolean>()
    for (const kind of new Set(kinds)) going.set(kind, await this.#isGoing(kind))
    return kinds.map((kind) => going.get(kind) === true)
  }

  async #isGoing(kind: ResourceKindName): Promise<boolean> {
    try {
      const name = `${resourceKinds[kind].plural}.${apiGroup}`
      const crd = await this.#api.get<KubernetesObject>(crdType, { name }, { metadataOnly: true })
      return crd.metadata.deletionTimestamp !== undefined
    } catch (error) {
      if (isApiError(error, 'not-found')) return true
      // With rights in namespaces alone the operator can not know.
      if (isApiError(error, 'forbidden')) return false
      throw error
    }
  }
}
