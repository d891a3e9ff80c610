import type { AnyResource, ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { Condition, Metadata } from '#core/resources/resource.ts'
import type { NewSecret, ResourceEvent, ResourceHost, StoredSecret } from '../operator/reconcilers/host.ts'
import { type IndexedKind, type IndexOf, isUnder } from '../operator/reconcilers/resource-indexes.ts'
import type { ResourceAddress } from '../operator/reconcilers/reconciler.ts'
import type { GeneratedSecrets } from './generated-secrets.ts'
import type { CatalogChange } from './manifest-catalog.ts'
import type { ManifestDirectory } from './manifest-directory.ts'
import { codeOf } from './state-directory.ts'

/** What became of an object: its own content, or only its status. */
export type HostChange = ResourceAddress & { readonly of: 'object' | 'status' }

export interface StandaloneHostOptions {
  readonly manifests: ManifestDirectory
  readonly secrets: GeneratedSecrets
  /** Tells people, a line at a time. */
  readonly say: (line: string) => void
}

/**
 * A manifest directory as the place where resources live. Statuses and finalizers are kept in memory: they are
 * made anew at each start. An object whose manifest is gone stays, with a `deletionTimestamp`, until its
 * finalizers are removed; then its generated Secrets go with it.
 */
export class StandaloneHost implements ResourceHost {
  readonly #options: StandaloneHostOptions
  readonly #objects = new Map<string, AnyResource>()
  readonly #listeners = new Set<(change: HostChange) => void>()

  private constructor(options: StandaloneHostOptions) {
    this.#options = options
    for (const object of options.manifests.objects()) this.#objects.set(keyOf(object), object)
    options.manifests.onChange((changes) => {
      for (const change of changes) this.#take(change)
    })
  }

  static async open(options: StandaloneHostOptions): Promise<StandaloneHost> {
    const host = new StandaloneHost(options)
    await options.secrets.keepOwnedBy((uid) => host.#hasUid(uid))
    return host
  }

  onChange(listener: (change: HostChange) => void): void {
    this.#listeners.add(listener)
  }

  get<K extends ResourceKindName>(kind: K, namespace: string, name: string): ResourceOf[K] | undefined {
    return this.#objects.get(`${kind}/${namespace}/${name}`) as ResourceOf[K] | undefined
  }

  list<K extends ResourceKindName>(kind: K): readonly ResourceOf[K][] {
    return [...this.#objects.values()].filter((object) => object.kind === kind) as ResourceOf[K][]
  }

  find<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): readonly ResourceOf[K][] {
    return this.list(kind).filter(isUnder(kind, index, value))
  }

  count<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): number {
    return this.find(kind, index, value).length
  }

  // A manifest that is gone was taken away by somebody.
  async fateOf(): Promise<'deleted'> {
    return 'deleted'
  }

  async readSecret(namespace: string, name: string): Promise<StoredSecret | undefined> {
    const { manifests, secrets } = this.#options
    return manifests.secret(namespace, name) ?? secrets.get(namespace, name)
  }

  /** Reading one is as quick. */
  secretVersion(): undefined {}

  async createSecret(secret: NewSecret): Promise<StoredSecret | undefined> {
    const { manifests, secrets } = this.#options
    if (manifests.secret(secret.namespace, secret.name) !== undefined) return undefined
    // It would stay for ever, and stand in the way of a new object of that name.
    if (!this.#hasUid(secret.owner.uid)) throw new Error(`the owner of Secret ${secret.name} is gone`)
    return secrets.create(secret)
  }

  async updateSecret(secret: StoredSecret, data: Readonly<Record<string, string>>): Promise<void> {
    await this.#options.secrets.update(secret, data)
  }

  // Its Secrets have their owners in the state directory.
  async adoptSecret(secret: StoredSecret): Promise<StoredSecret> {
    return secret
  }

  async pinShortId({ metadata }: ResourceOf['Organization'], shortId: string): Promise<void> {
    await this.#options.manifests.pinShortId(metadata.namespace, metadata.name, shortId)
  }

  async writeStatus<K extends ResourceKindName>(
    kind: K,
    resource: ResourceOf[K],
    status: NonNullable<ResourceOf[K]['status']>,
  ): Promise<void> {
    const present = this.#present(kind, resource)
    if (present === undefined) return
    this.#sayTransition(present, status)
    this.#objects.set(keyOf(present), { ...present, status } as AnyResource)
    this.#tell(present, 'status')
  }

  async addFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void> {
    const present = this.#present(kind, resource)
    if (present === undefined || present.metadata.deletionTimestamp !== undefined) return
    if (present.metadata.finalizers?.includes(finalizer) === true) return
    this.#setMetadata(present, { finalizers: [finalizer] })
  }

  async removeFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void> {
    const present = this.#present(kind, resource)
    if (present === undefined) return
    if (present.metadata.deletionTimestamp !== undefined) await this.#forget(present)
    else if ((present.metadata.finalizers ?? []).length > 0) this.#setMetadata(present, { finalizers: [] })
  }

  // Transitions are told from the status; the rest is for `kubectl describe`.
  event<K extends ResourceKindName>(_kind: K, _resource: ResourceOf[K], _event: ResourceEvent): void {}

  /** Undefined also when another object has that name by now. */
  #present(kind: ResourceKindName, { metadata }: AnyResource): AnyResource | undefined {
    const present = this.get(kind, metadata.namespace, metadata.name)
    return present?.metadata.uid === metadata.uid ? present : undefined
  }

  #take({ type, kind, namespace, name }: CatalogChange): void {
    if (kind === 'Secret') return this.#touchNamespace(namespace)
    const present = this.get(kind, namespace, name)
    if (type === 'deleted') {
      if (present !== undefined) this.#delete(present)
      return
    }
    // One of that name is still being deleted; this one follows it.
    if (present?.metadata.deletionTimestamp !== undefined) return
    const manifest = this.#manifestOf(kind, namespace, name)
    if (manifest === undefined) return
    const { finalizers } = present?.metadata ?? {}
    const metadata = { ...manifest.metadata, ...(finalizers === undefined ? {} : { finalizers }) }
    const status = present?.status === undefined ? {} : { status: present.status }
    this.#objects.set(keyOf(manifest), { ...manifest, metadata, ...status } as AnyResource)
    this.#tell(manifest, 'object')
  }

  #delete(object: AnyResource): void {
    if ((object.metadata.finalizers ?? []).length === 0) {
      void this.#forget(object)
      return
    }
    this.#setMetadata(object, { deletionTimestamp: `${new Date().toISOString().slice(0, 19)}Z` })
    this.#tell(object, 'object')
  }

  async #forget(object: AnyResource): Promise<void> {
    const { kind, metadata } = object
    this.#objects.delete(keyOf(object))
    this.#options.say(`${kind} ${metadata.namespace}/${metadata.name} is deleted`)
    try {
      await this.#options.secrets.keepOwnedBy((uid) => uid !== metadata.uid)
    } catch (error) {
      this.#options.say(`its Secrets could not be removed, which the next start does: ${codeOf(error)}`)
    }
    const successor = this.#manifestOf(kind as ResourceKindName, metadata.namespace, metadata.name)
    if (successor !== undefined) this.#objects.set(keyOf(successor), successor)
    this.#tell(object, 'object')
  }

  #setMetadata(object: AnyResource, changed: Partial<Metadata>): void {
    const metadata = { ...object.metadata, ...changed }
    this.#objects.set(keyOf(object), { ...object, metadata } as AnyResource)
  }

  /** A Secret of a manifest changed: whoever may refer to it is to look again. */
  #touchNamespace(namespace: string): void {
    for (const object of this.#objects.values()) {
      if (object.metadata.namespace === namespace) this.#tell(object, 'object')
    }
  }

  #manifestOf(kind: ResourceKindName, namespace: string, name: string): AnyResource | undefined {
    const key = `${kind}/${namespace}/${name}`
    return this.#options.manifests.objects().find((object) => keyOf(object) === key)
  }

  #hasUid(uid: string): boolean {
    return [...this.#objects.values()].some(({ metadata }) => metadata.uid === uid)
  }

  #tell({ kind, metadata }: AnyResource, of: HostChange['of']): void {
    const { namespace, name } = metadata
    for (const listener of this.#listeners) listener({ kind: kind as ResourceKindName, namespace, name, of })
  }

  #sayTransition({ kind, metadata, status }: AnyResource, after: AnyResource['status']): void {
    const was = readyLine(status?.conditions)
    const is = readyLine(after?.conditions)
    if (is !== undefined && is !== was)
      this.#options.say(`${kind} ${metadata.namespace}/${metadata.name} ${is}`)
  }
}

const finalizer = 'cloudsignal.app/records'

function readyLine(conditions: readonly Condition[] | undefined): string | undefined {
  const ready = conditions?.find(({ type }) => type === 'Ready')
  if (ready === undefined) return undefined
  if (ready.status === 'True') return `is ready: ${ready.message}`
  return `is not ready: ${ready.reason}: ${ready.message}`
}

function keyOf({ kind, metadata }: AnyResource): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`
}
