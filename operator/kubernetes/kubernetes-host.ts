import { DomainError } from '#core/errors.ts'
import { type ResourceKindName, resourceKindNames, type ResourceOf } from '#core/resources/index.ts'
import { readerOf } from '../reconcilers/generated-secret.ts'
import type { Fate, NewSecret, ResourceEvent, ResourceHost, StoredSecret } from '../reconcilers/host.ts'
import { type IndexedKind, type IndexOf, isUnder } from '../reconcilers/resource-indexes.ts'
import type { ResourceAddress, ResourceName } from '../reconcilers/reconciler.ts'
import { isApiError } from '../../kubernetes/api-error.ts'
import type { EventRecorder } from '../runtime/events.ts'
import { addFinalizer, removeFinalizer } from '../runtime/finalizers.ts'
import type { KubernetesApi } from '../runtime/kubernetes-api.ts'
import { isOlderVersion, keyOf, type KubernetesObject } from '../runtime/objects.ts'
import { cachedObject, recordsFinalizer } from './cached-object.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { Deletions } from './deletions.ts'
import {
  asObject,
  asResource,
  type KubernetesResource,
  ownApiVersion,
  resourceTypeOf,
  secretType,
} from './resource-types.ts'
import { SeenSecrets } from './seen-secrets.ts'

/** Name of this program among those that own fields of an object. */
const fieldManager = 'cloudsignal-operator'

interface Secret extends KubernetesObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}

export interface KubernetesHostOptions {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'apply' | 'applyStatus' | 'mergePatch'>
  readonly cache: ClusterCache
  readonly events: Pick<EventRecorder, 'record'>
  /** False once leadership is over, which a process that hung may not have noticed otherwise. */
  readonly mayWrite?: () => boolean
}

/** On a Secret: what it was generated for. */
const generatedFor = 'cloudsignal.app/generated-for'

/** Resources of a cluster: read from the cache, written through the API, and never older than our own writes. */
export class KubernetesHost implements ResourceHost {
  readonly #api: KubernetesHostOptions['api']
  readonly #cache: ClusterCache
  readonly #events: KubernetesHostOptions['events']
  readonly #deletions: Deletions
  /** What the API answered to our own writes, by uid, until the cache has seen it. */
  readonly #written = new Map<string, KubernetesResource>()
  readonly #seenSecrets = new SeenSecrets()

  constructor({ api, cache, events, mayWrite = () => true }: KubernetesHostOptions) {
    this.#api = whileLeading(api, mayWrite)
    this.#cache = cache
    this.#events = events
    this.#deletions = new Deletions(api, cache)
    for (const kind of resourceKindNames) {
      cache.of(kind).addHandler({
        updated: (object) => this.#forgetOlder(object),
        deleted: ({ metadata }) => void this.#written.delete(metadata.uid ?? ''),
      })
    }
    cache.secrets.addHandler({
      deleted: (secret) => this.#seenSecrets.forget(secret),
    })
  }

  get<K extends ResourceKindName>(kind: K, namespace: string, name: string): ResourceOf[K] | undefined {
    const cached = this.#cache.of(kind).store.get(`${namespace}/${name}`)
    return cached === undefined ? undefined : this.#newest(cached)
  }

  list<K extends ResourceKindName>(kind: K): readonly ResourceOf[K][] {
    return this.#cache
      .of(kind)
      .store.list()
      .map((cached) => this.#newest(cached))
  }

  find<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): readonly ResourceOf[K][] {
    const { store } = this.#cache.of(kind)
    const found = store.byIndex(index, value).map((cached) => this.#newest(cached))
    // What we have written may stand elsewhere than what the index has seen.
    const written = [...this.#written.values()].filter((object) => object.kind === kind)
    return [
      ...new Set([...found, ...written.map((object) => asResource(object as KubernetesResource<K>))]),
    ].filter(isUnder(kind, index, value))
  }

  count<K extends IndexedKind>(kind: K, index: IndexOf<K>, value: string): number {
    return this.#cache.of(kind).store.countByIndex(index, value)
  }

  fateOf(kind: ResourceKindName, { namespace, name }: ResourceName): Promise<Fate> {
    return this.#deletions.fateOf(kind, `${namespace}/${name}`)
  }

  /** Whom this version of a Secret concerns, but for those whose reconcile has written or read it. */
  unawareOf(secret: KubernetesObject): ResourceAddress[] {
    return this.concernedBy(secret).filter((of) => !this.#seenSecrets.has(secret, of))
  }

  concernedBy({ metadata: { namespace = '', name } }: KubernetesObject): ResourceAddress[] {
    return resourceKindNames.flatMap((kind) =>
      this.#cache.namesBySecret(kind, namespace, name).map((of) => ({ kind, ...of })),
    )
  }

  async readSecret(
    namespace: string,
    name: string,
    reader?: ResourceAddress,
  ): Promise<StoredSecret | undefined> {
    try {
      return this.#seen(await this.#api.get<Secret>(secretType, { namespace, name }), reader)
    } catch (error) {
      if (isApiError(error, 'not-found')) return undefined
      throw error
    }
  }

  secretVersion(namespace: string, name: string): string | undefined {
    return this.#cache.secrets.store.get(`${namespace}/${name}`)?.metadata.resourceVersion
  }

  async createSecret({
    namespace,
    name,
    type,
    owner,
    labels,
    annotations,
    data,
  }: NewSecret): Promise<StoredSecret | undefined> {
    const secret: Secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace,
        labels: { ...labels, 'app.kubernetes.io/managed-by': fieldManager },
        annotations: { ...annotations, [generatedFor]: `${owner.kind}/${owner.name}` },
        ownerReferences: [{ apiVersion: ownApiVersion, ...owner, controller: true }],
      },
      type,
      data: encoded(data),
    }
    try {
      return this.#seen(await this.#api.create(secretType, secret), readerOf({ namespace, owner }))
    } catch (error) {
      if (isApiError(error, 'already-exists')) return undefined
      throw error
    }
  }

  async updateSecret(
    { namespace, name, version }: StoredSecret,
    data: Readonly<Record<string, string>>,
  ): Promise<void> {
    const change = { data: encoded(data) }
    const options = { resourceVersion: version, fieldManager }
    await this.#api.mergePatch(secretType, { namespace, name }, change, options)
  }

  async adoptSecret(secret: StoredSecret, owner: NewSecret['owner']): Promise<StoredSecret> {
    const { namespace, name, version: resourceVersion } = secret
    const ownerReferences = [{ apiVersion: ownApiVersion, ...owner, controller: true }]
    const options = { resourceVersion, fieldManager }
    const change = { metadata: { ownerReferences } }
    try {
      const adopted = await this.#api.mergePatch<Secret>(secretType, { namespace, name }, change, options)
      return this.#seen(adopted, readerOf({ namespace, owner }))
    } catch (error) {
      // Without the right to change Secrets it serves all the same, and stays when its object goes.
      if (isApiError(error, 'forbidden')) return { ...secret, ownerUid: owner.uid }
      throw error
    }
  }

  async pinShortId({ metadata }: ResourceOf['Organization'], shortId: string): Promise<void> {
    const wanted = { ...identityOf('Organization', metadata), spec: { shortId } }
    const options = { fieldManager, force: false }
    this.#remember('Organization', await this.#api.apply(resourceTypeOf('Organization'), wanted, options))
  }

  async writeStatus<K extends ResourceKindName>(
    kind: K,
    { metadata, spec }: ResourceOf[K],
    status: NonNullable<ResourceOf[K]['status']>,
  ): Promise<void> {
    // The spec is what the type asks for; the server leaves it out of account under /status.
    const wanted = { ...identityOf(kind, metadata), spec, status }
    try {
      this.#remember(kind, await this.#api.applyStatus(resourceTypeOf(kind), wanted, { fieldManager }))
    } catch (error) {
      // Gone meanwhile: there is nothing left to report on.
      if (!isApiError(error, 'not-found')) throw error
    }
  }

  async addFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void> {
    const object = asObject(resource)
    const changed = await addFinalizer(this.#api, resourceTypeOf(kind), object, recordsFinalizer)
    if (changed !== object) this.#remember(kind, changed)
  }

  removeFinalizer<K extends ResourceKindName>(kind: K, resource: ResourceOf[K]): Promise<void> {
    return removeFinalizer(this.#api, resourceTypeOf(kind), asObject(resource), recordsFinalizer)
  }

  event<K extends ResourceKindName>(
    kind: K,
    resource: ResourceOf[K],
    { type, reason, message }: ResourceEvent,
  ): void {
    const regarding = { apiVersion: ownApiVersion, kind, metadata: asObject(resource).metadata }
    this.#events.record(regarding, { type, reason, action: 'Reconcile', note: message })
  }

  #seen(secret: Secret, reader: ResourceAddress | undefined): StoredSecret {
    const { metadata, data = {} } = secret
    const { namespace = '', name, resourceVersion: version = '', ownerReferences } = metadata
    if (reader !== undefined) this.#seenSecrets.add(secret, reader)
    const owner = ownerReferences?.find(({ controller }) => controller === true)
    const restoredFor =
      (ownerReferences ?? []).length === 0 ? metadata.annotations?.[generatedFor] : undefined
    return {
      namespace,
      name,
      version,
      data: decoded(data),
      ...(owner === undefined ? {} : { ownerUid: owner.uid }),
      ...(restoredFor === undefined ? {} : { restoredFor }),
    }
  }

  #remember<K extends ResourceKindName>(kind: K, object: KubernetesResource<K>): void {
    const { uid } = object.metadata
    if (uid === undefined) return
    this.#written.set(uid, cachedObject(kind, object))
    // The watch may have been faster than the answer.
    const seen = this.#cache.of(kind).store.get(keyOf(object))
    if (seen !== undefined) this.#forgetOlder(seen)
  }

  /** The cache has seen what we wrote, or something newer. */
  #forgetOlder({ metadata: { uid = '', resourceVersion } }: KubernetesObject): void {
    const written = this.#written.get(uid)
    if (written !== undefined && !isOlderVersion(resourceVersion, written.metadata.resourceVersion)) {
      this.#written.delete(uid)
    }
  }

  #newest<K extends ResourceKindName>(cached: KubernetesResource<K>): ResourceOf[K] {
    this.#forgetOlder(cached)
    return asResource((this.#written.get(cached.metadata.uid ?? '') ?? cached) as KubernetesResource<K>)
  }
}

/** Nothing of another leader's is written over by one whose time is over. */
function whileLeading(
  api: KubernetesHostOptions['api'],
  mayWrite: () => boolean,
): KubernetesHostOptions['api'] {
  const guarded =
    <P extends unknown[], R>(write: (...parameters: P) => Promise<R>) =>
    async (...parameters: P): Promise<R> => {
      if (!mayWrite()) throw new DomainError('superseded', 'this operator leads no more')
      return await write(...parameters)
    }
  return {
    get: api.get.bind(api),
    create: guarded(api.create.bind(api)),
    apply: guarded(api.apply.bind(api)),
    applyStatus: guarded(api.applyStatus.bind(api)),
    mergePatch: guarded(api.mergePatch.bind(api)),
  } as KubernetesHostOptions['api']
}

/** With the uid, so that a write for one object never reaches, or makes, another of its name. */
function identityOf(
  kind: ResourceKindName,
  { name, namespace, uid }: ResourceOf[ResourceKindName]['metadata'],
): Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'> {
  return { apiVersion: ownApiVersion, kind, metadata: { name, namespace, uid } }
}

function decoded(data: Readonly<Record<string, string>>): Record<string, string> {
  return mapValues(data, (text) => Buffer.from(text, 'base64').toString('utf8'))
}

function encoded(data: Readonly<Record<string, string>>): Record<string, string> {
  return mapValues(data, (text) => Buffer.from(text, 'utf8').toString('base64'))
}

function mapValues(
  data: Readonly<Record<string, string>>,
  map: (text: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, map(text)]))
}
