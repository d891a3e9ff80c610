/**
 * Keeps a Store equal to what the API server holds of one kind, until its signal aborts, whatever happens to the
 * connection. No error ends it and none is thrown: each is logged, counted by reason and followed by a wait.
 *
 * - Lists (from the server's cache, or the newest in pages of `pageSize`), then watches with bookmarks. The server is asked
 *   to end each watch after 300-600 s by chance; five seconds later the client ends it itself, so a half-open
 *   connection is noticed.
 * - A failed watch is resumed where it stopped; only `gone` lists again, at once unless the last list is less
 *   than 30 s old; from the server's cache not before the last known version and, should it not have that, the newest.
 * - Waits grow from 0.8 s to 30 s, at least as long as Retry-After, and start again after a healthy minute.
 * - managedFields and the last-applied annotation are dropped; `transform` may drop more.
 * - With `namespaces`, one list and watch each, for rights in single namespaces; `hasSynced` means all of them.
 */
import { isApiError } from '../../kubernetes/api-error.ts'
import { Backoff } from './backoff.ts'
import type { SelectOptions } from './api-request.ts'
import type { KubernetesApi } from './kubernetes-api.ts'
import type { WatchEvent } from './watch-stream.ts'
import { errorFields, type Log } from './log.ts'
import { Mirror, type ObjectHandler } from './mirror.ts'
import { describeType, isOlderVersion, keyOf, type KubernetesObject, type ResourceType } from './objects.ts'
import { Store, type IndexFunction, type ReadableStore } from './store.ts'
import { deadline, sleep, type Deadline, type Random, type Time } from './time.ts'

export type { ObjectHandler } from './mirror.ts'

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly api: Pick<KubernetesApi, 'list' | 'watch'>
  readonly type: ResourceType
  readonly time: Time
  readonly random: Random
  readonly log: Log
  /** All namespaces without it. */
  readonly namespaces?: readonly string[]
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly metadataOnly?: boolean
  /** Default 500. The server ignores it for a list from its cache. */
  readonly pageSize?: number
  /**
   * 'cache' (default): any state the server remembers that is not older than what was seen, in one answer.
   * 'newest': never one older than what was read before a restart, and in pages, which needs less memory.
   */
  readonly lists?: 'cache' | 'newest'
  /** What to keep of an object. Must keep name, namespace, uid, resourceVersion. May change its argument. */
  readonly transform?: (object: T) => T
  readonly metrics?: ReflectorMetrics
}

export interface ReflectorMetrics {
  /** After each change: how many objects there are, and the wall clock in milliseconds. */
  changed(plural: string, objects: number, at: number): void
  /** An ApiErrorCode, `ended-early` or `error`. */
  restarted(plural: string, reason: string): void
}

export class Reflector<T extends KubernetesObject> {
  readonly type: ResourceType
  readonly store: ReadableStore<T>
  readonly #store: Store<T>
  readonly #mirror: Mirror<T>
  readonly #loops: ListWatchLoop<T>[]
  #running = false
  readonly #synced = Promise.withResolvers<void>()

  constructor(options: ReflectorOptions<T>) {
    this.type = options.type
    this.#store = new Store<T>(options.log)
    this.store = this.#store
    this.#mirror = new Mirror(this.#store, options.log)
    const scopes = options.namespaces ?? [undefined]
    this.#loops = scopes.map(
      (namespace) =>
        new ListWatchLoop(options, namespace, this.#mirror, this.#store, () => this.#checkSynced()),
    )
  }

  addHandler(handler: ObjectHandler<T>, signal?: AbortSignal): void {
    this.#mirror.addHandler(handler, signal)
  }

  index(name: string, valuesOf: IndexFunction<T>): void {
    this.#store.index(name, valuesOf)
  }

  /** True once a whole list was read; stays true. */
  hasSynced(): boolean {
    return this.#loops.every((loop) => loop.synced)
  }

  /** Resolves when hasSynced() becomes true; rejects with the signal's reason. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort)
    try {
      await Promise.race([this.#synced.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /**
   * Time.monotonic() of the oldest last sign of life over all watches: an opened watch, an event, a finished
   * list. More than 605 s ago means that something is wrong with this process; undefined before the first.
   */
  lastContact(): number | undefined {
    const contacts = this.#loops.map((loop) => loop.lastContact)
    return contacts.includes(undefined) ? undefined : Math.min(...contacts.map(Number))
  }

  /** The server answers again: what waits because it did not need wait no longer. */
  retryNow(): void {
    for (const loop of this.#loops) loop.retryNow()
  }

  /** Resolves, never rejects, after the signal aborted. Throws at once when it is already running. */
  run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error(`the reflector of ${describeType(this.type)} is already running`)
    this.#running = true
    return this.#run(signal)
  }

  async #run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.run(signal)))
    this.#running = false
  }

  #checkSynced(): void {
    if (this.hasSynced()) this.#synced.resolve()
  }
}

const healthyMs = 60_000
const shortWatchMs = 1000
const graceMs = 5000
const listIntervalMs = 30_000

/** A watch the server closed at once and without news: asking again at once would be a storm. */
class EndedEarly extends Error {
  readonly code = 'ended-early'
}

/** One list and watch after the other, of one namespace or all. */
class ListWatchLoop<T extends KubernetesObject> {
  readonly #options: ReflectorOptions<T>
  readonly #namespace: string | undefined
  readonly #mirror: Mirror<T>
  readonly #store: Store<T>
  readonly #onSynced: () => void
  readonly #backoff: Backoff
  /** Where the watch goes on; undefined: list first. */
  #version: string | undefined
  /** '' is the newest. */
  #listFrom: string
  #healthySince: number | undefined
  #listedAt: number | undefined
  #pausing: AbortController | undefined
  synced = false
  lastContact: number | undefined

  constructor(
    options: ReflectorOptions<T>,
    namespace: string | undefined,
    mirror: Mirror<T>,
    store: Store<T>,
    onSynced: () => void,
  ) {
    this.#options = options
    this.#namespace = namespace
    this.#mirror = mirror
    this.#store = store
    this.#onSynced = onSynced
    this.#backoff = new Backoff(options.random)
    this.#listFrom = options.lists === 'newest' ? '' : '0'
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list(signal)
        else await this.#watch(this.#version, signal)
      } catch (error) {
        if (!signal.aborted) await this.#pause(this.#recover(error), signal)
      }
    }
  }

  /**
   * Ends the pause that follows a failure, if there is one. What comes next is tried again soon: a server that has just
   * started answers, but does not serve every kind yet.
   */
  retryNow(): void {
    if (this.#pausing === undefined) return
    this.#backoff.reset()
    this.#pausing.abort()
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    this.#pausing = new AbortController()
    await sleep(this.#options.time, ms, AbortSignal.any([signal, this.#pausing.signal]))
    this.#pausing = undefined
  }

  async #list(signal: AbortSignal): Promise<void> {
    const from = this.#listFrom
    try {
      this.#version = await this.#readPages(from, signal)
    } catch (error) {
      if (isApiError(error, 'gone', 'timeout')) this.#listFrom = ''
      throw error
    }
    this.#listNotBefore(this.#version)
    this.#touch()
    this.#listedAt = this.lastContact
    this.#countObjects()
    this.synced = true
    this.#onSynced()
  }

  async #readPages(from: string, signal: AbortSignal): Promise<string> {
    const { api, type, pageSize = 500 } = this.#options
    const listed = new Set<string>()
    let next: string | undefined
    for (;;) {
      const page = await api.list<T>(type, {
        ...this.#selection(),
        signal,
        limit: pageSize,
        resourceVersion: from,
        ...(next === undefined ? {} : { continue: next }),
      })
      for (const object of page.items) {
        listed.add(keyOf(object))
        this.#mirror.listed(this.#clean(object), !this.synced)
      }
      next = page.continue
      if (next === undefined) {
        this.#mirror.retainListed(listed, (object) => this.#covers(object))
        return page.resourceVersion
      }
    }
  }

  async #watch(from: string, signal: AbortSignal): Promise<void> {
    const { api, type, time, random } = this.#options
    const timeoutSeconds = 300 + Math.floor(random() * 301)
    const limit = deadline(time, timeoutSeconds * 1000 + graceMs, signal)
    const started = time.monotonic()
    try {
      const watch = { ...this.#selection(), resourceVersion: from, timeoutSeconds, signal: limit.signal }
      const events = await api.watch<T>(type, watch)
      this.#touch()
      for await (const event of events) this.#receive(event)
      const news = this.#version !== from
      if (!news && time.monotonic() - started < shortWatchMs) throw new EndedEarly('the watch ended at once')
    } catch (error) {
      this.#unlessSilent(error, limit)
    } finally {
      limit.dispose()
    }
  }

  /** A watch that outlived its time is nothing to wait for: the server did not end it, so another may do better. */
  #unlessSilent(error: unknown, limit: Deadline): void {
    if (!limit.expired()) throw error
    this.#options.metrics?.restarted(this.#options.type.plural, 'timeout')
    this.#options.log.warn({ resource: this.#options.type.plural }, 'a watch went silent; opening another')
  }

  #receive(event: WatchEvent<T>): void {
    this.lastContact = this.#options.time.monotonic()
    if (event.type === 'BOOKMARK') return this.#advance(event.resourceVersion)
    const object = this.#clean(event.object)
    if (event.type === 'DELETED') this.#mirror.removed(object)
    else this.#mirror.changed(object)
    this.#advance(object.metadata.resourceVersion ?? '')
    this.#countObjects()
  }

  #advance(version: string): void {
    if (version === '' || isOlderVersion(version, this.#version)) return
    this.#version = version
    this.#listNotBefore(version)
  }

  #listNotBefore(version: string): void {
    if (this.#options.lists !== 'newest') this.#listFrom = version
  }

  /** Milliseconds to wait before the next attempt. */
  #recover(error: unknown): number {
    const { time, log, metrics, type } = this.#options
    const healthy = this.#healthySince !== undefined && time.monotonic() - this.#healthySince >= healthyMs
    this.#healthySince = undefined
    if (healthy) this.#backoff.reset()
    const isGone = isApiError(error, 'gone')
    if (isGone) this.#version = undefined
    const retryAfterMs = isApiError(error) ? error.retryAfterMs : undefined
    const delayMs = isGone && this.#mayListAtOnce() ? 0 : this.#backoff.next(retryAfterMs)
    const fields = errorFields(error)
    metrics?.restarted(type.plural, fields.code ?? 'error')
    const context = { ...fields, resource: type.plural, namespace: this.#namespace, delayMs }
    if (isGone) log.info(context, 'the watch expired; listing again')
    else log.warn(context, 'list or watch failed')
    return delayMs
  }

  /** `gone` is no failure of the server: after a restart of it, waiting would only prolong being blind. */
  #mayListAtOnce(): boolean {
    return this.#listedAt === undefined || this.#options.time.monotonic() - this.#listedAt >= listIntervalMs
  }

  #touch(): void {
    this.lastContact = this.#options.time.monotonic()
    this.#healthySince ??= this.lastContact
  }

  #countObjects(): void {
    const { metrics, time, type } = this.#options
    metrics?.changed(type.plural, this.#store.size, time.now())
  }

  #covers(object: T): boolean {
    return this.#namespace === undefined || object.metadata.namespace === this.#namespace
  }

  #selection(): SelectOptions {
    const { labelSelector, fieldSelector, metadataOnly } = this.#options
    return {
      ...(this.#namespace === undefined ? {} : { namespace: this.#namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(metadataOnly === undefined ? {} : { metadataOnly }),
    }
  }

  #clean(object: T): T {
    delete object.metadata.managedFields
    delete object.metadata.annotations?.['kubectl.kubernetes.io/last-applied-configuration']
    return this.#options.transform?.(object) ?? object
  }
}
