import { type ResourceKindName, resourceKindNames } from '#core/resources/index.ts'
import { indexesOf } from '../reconcilers/resource-indexes.ts'
import type { ResourceName } from '../reconcilers/reconciler.ts'
import { secretNamesOf } from '../reconcilers/secret-names.ts'
import type { KubernetesApi } from '../runtime/kubernetes-api.ts'
import type { Log } from '../runtime/log.ts'
import type { KubernetesObject } from '../runtime/objects.ts'
import { Reflector, type ReflectorMetrics } from '../runtime/reflector.ts'
import type { Random, Time } from '../runtime/time.ts'
import { cachedObject, cachedSecret } from './cached-object.ts'
import { asResource, type KubernetesResource, resourceTypeOf, secretType } from './resource-types.ts'

export interface ClusterCacheOptions {
  readonly api: Pick<KubernetesApi, 'list' | 'watch'>
  /** All namespaces without it. */
  readonly namespaces?: readonly string[]
  readonly time: Time
  readonly random: Random
  readonly log: Log
  readonly metrics: ReflectorMetrics
}

const secretIndex = 'secret'

/** All objects of our kinds as the API server holds them, and of Secrets who they are but not what is in them. */
export class ClusterCache {
  #isAway = false
  readonly secrets: Reflector<KubernetesObject>
  readonly #kinds: { readonly [K in ResourceKindName]: Reflector<KubernetesResource<K>> }

  constructor(options: ClusterCacheOptions) {
    const { api, time, random, log, metrics, namespaces } = options
    const common = {
      api,
      time,
      random,
      log,
      metrics,
      // In pages: one answer with everything would be what takes the most memory of all.
      lists: 'newest' as const,
      ...(namespaces === undefined ? {} : { namespaces }),
    }
    const reflectorOf = <K extends ResourceKindName>(kind: K): Reflector<KubernetesResource<K>> => {
      const reflector = new Reflector<KubernetesResource<K>>({
        ...common,
        type: resourceTypeOf(kind),
        transform: (object) => cachedObject(kind, object),
      })
      reflector.index(secretIndex, (object) => secretsOf(kind, object))
      for (const [name, valuesOf] of Object.entries(indexesOf(kind))) {
        reflector.index(name, (object) => valuesOf(asResource(object)))
      }
      return reflector
    }
    this.#kinds = {
      Organization: reflectorOf('Organization'),
      AccessList: reflectorOf('AccessList'),
      IdentityProvider: reflectorOf('IdentityProvider'),
      ApiKey: reflectorOf('ApiKey'),
      MqttUser: reflectorOf('MqttUser'),
    }
    this.secrets = new Reflector({ ...common, type: secretType, metadataOnly: true, transform: cachedSecret })
  }

  of<K extends ResourceKindName>(kind: K): Reflector<KubernetesResource<K>> {
    return this.#kinds[kind]
  }

  /** Objects of a kind that a Secret concerns. */
  namesBySecret(kind: ResourceKindName, namespace: string, name: string): ResourceName[] {
    return this.of(kind)
      .store.byIndex(secretIndex, `${namespace}/${name}`)
      .map(({ metadata }) => ({ namespace: metadata.namespace ?? '', name: metadata.name }))
  }

  /** Resolves after the signal aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.run(signal)))
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.waitForSync(signal)))
  }

  /** Plurals of what was not read whole yet. */
  missing(): string[] {
    return this.#all()
      .filter((reflector) => !reflector.hasSynced())
      .map(({ type }) => type.plural)
  }

  /** Time.monotonic() of the oldest last sign of life; undefined before all have given one. */
  lastContact(): number | undefined {
    const contacts = this.#all().map((reflector) => reflector.lastContact())
    return contacts.includes(undefined) ? undefined : Math.min(...contacts.map(Number))
  }

  /** Told of each answer of the API server and of each time that there was none. After an outage nobody waits on. */
  answered(hasAnswered: boolean): void {
    if (hasAnswered && this.#isAway) for (const reflector of this.#all()) reflector.retryNow()
    this.#isAway = !hasAnswered
  }

  #all(): readonly Pick<
    Reflector<KubernetesObject>,
    'retryNow' | 'run' | 'waitForSync' | 'hasSynced' | 'lastContact' | 'type'
  >[] {
    return [...resourceKindNames.map((kind) => this.of(kind)), this.secrets]
  }
}

function secretsOf<K extends ResourceKindName>(kind: K, object: KubernetesResource<K>): string[] {
  return secretNamesOf(kind, asResource(object)).map((name) => `${object.metadata.namespace}/${name}`)
}
