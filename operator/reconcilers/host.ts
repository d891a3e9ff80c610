import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { IndexedKind, IndexOf } from './resource-indexes.ts'
import type { ResourceAddress, ResourceName } from './reconciler.ts'

/**
 * The place where resources live, as far as reconcilers need it: the Kubernetes API in a cluster, a manifest
 * directory in standalone. Every promise rejects when the host can not be reached; the reconcile is then tried
 * again.
 */
export interface ResourceHost {
  /** As last seen. May be a little old; a later change always brings another reconcile. */
  get<K extends ResourceKindName>(kind: K, namespace: string, name: string): ResourceOf[K] | undefined
  list<K extends ResourceKindName>(kind: K): readonly ResourceOf[K][]
  /** Those that stand under this value of an index; see resource-indexes.ts. */
  find<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): readonly ResourceOf[K][]

  /** How many those are; costs little however many. */
  count<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): number

  /** What became of an object that is gone, or is marked to go. */
  fateOf(kind: ResourceKindName, of: ResourceName): Promise<Fate>

  /**
   * Asked of the host itself, never of a cache: a missing one leads to a new password. `reader` is whose reconcile reads
   * it: that version is no news to it any more, to others it is.
   */
  readSecret(namespace: string, name: string, reader?: ResourceAddress): Promise<StoredSecret | undefined>

  /**
   * The version of a Secret as last seen, without asking. May be a little old, like all that was seen; undefined where
   * nothing is known of it, which is no sign that there were none.
   */
  secretVersion(namespace: string, name: string): string | undefined

  /** Resolves with what was made; with undefined, and writes nothing, when there is one of that name. */
  createSecret(secret: NewSecret): Promise<StoredSecret | undefined>

  /** Puts values into a Secret that was made by `createSecret`. Rejects when it is not as it was read any more. */
  updateSecret(secret: StoredSecret, data: Readonly<Record<string, string>>): Promise<void>

  /** Writes `spec.shortId`, once, where there is none. */
  pinShortId(organization: ResourceOf['Organization'], shortId: string): Promise<void>

  /** Called only with a status that differs from the one there. */
  writeStatus<K extends ResourceKindName>(
    kind: K,
    resource: ResourceOf[K],
    status: NonNullable<ResourceOf[K]['status']>,
  ): Promise<void>

  /** Holds a resource that is being deleted until its records are gone. */
  addFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void>
  removeFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void>

  /** Gives a Secret that came from a backup the owner it was generated for. */
  adoptSecret(secret: StoredSecret, owner: NewSecret['owner']): Promise<StoredSecret>
  /** Tells people about a transition. Never rejects. */
  event<K extends ResourceKindName>(kind: K, resource: ResourceOf[K], event: ResourceEvent): void
}

/**
 * - `deleted`       by somebody who meant this object
 * - `missing`       a list lacks it, which proves little; the sweep judges
 * - `kind-removed`  with its whole kind; nobody may have meant any object of it
 */
export type Fate = 'deleted' | 'missing' | 'kind-removed'

export interface StoredSecret {
  readonly namespace: string
  readonly name: string
  /** Changes whenever the content does. */
  readonly version: string
  /** Uid of the resource it was generated for; absent for a Secret of a user's own. */
  readonly ownerUid?: string
  /** `<kind>/<name>` of what it was generated for, where it belongs to nobody: it came from a backup. */
  readonly restoredFor?: string
  readonly data: Readonly<Record<string, string>>
}

export interface NewSecret {
  readonly namespace: string
  readonly name: string
  /** Kubernetes' type, such as `kubernetes.io/basic-auth`. */
  readonly type: string
  readonly owner: { readonly kind: ResourceKindName; readonly name: string; readonly uid: string }
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly data: Readonly<Record<string, string>>
}

export interface ResourceEvent {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase. */
  readonly reason: string
  /** Never a secret. */
  readonly message: string
}
