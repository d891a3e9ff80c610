/**
 * Turns what the API server says into a Store and into calls of handlers, each real change once.
 *
 * - An object replaced by another of the same name (new uid) is a deletion and an addition.
 * - Events that repeat or arrive late (an older resourceVersion, or an object already deleted) change nothing.
 * - A list is the truth: what it does not hold is deleted.
 * - A handler that throws, or whose promise rejects, is logged; the others are still called.
 */
import { errorFields, type Log } from './log.ts'
import { isOlderVersion, keyOf, type KubernetesObject } from './objects.ts'
import type { Store } from './store.ts'

export interface ObjectHandler<T> {
  /** `initial` is true for what the first list holds. */
  added?(object: T, initial: boolean): void
  updated?(object: T, before: T): void
  /** The last known state. `isMissing`: nobody said that it was deleted, a list only lacks it. */
  deleted?(object: T, isMissing: boolean): void
}

const rememberedDeletions = 1000

export class Mirror<T extends KubernetesObject> {
  readonly #store: Store<T>
  #handlers: readonly ObjectHandler<T>[] = []
  readonly #log: Log
  readonly #deletedUids = new Set<string>()

  constructor(store: Store<T>, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** Tells a handler added late about every object there is, as initial ones; and nothing once the signal has aborted. */
  addHandler(handler: ObjectHandler<T>, signal?: AbortSignal): void {
    if (signal?.aborted === true) return
    const drop = (): void => {
      this.#handlers = this.#handlers.filter((other) => other !== handler)
    }
    signal?.addEventListener('abort', drop, { once: true })
    this.#handlers = [...this.#handlers, handler]
    for (const object of this.#store.list()) this.#guard(() => handler.added?.(object, true))
  }

  /** An ADDED or MODIFIED event. */
  changed(object: T): void {
    const before = this.#store.get(keyOf(object))
    if (this.#isLate(object, before)) return
    this.#put(object, before, false)
  }

  /** An object of a list: newer than any event before it, whatever its version says. */
  listed(object: T, initial: boolean): void {
    const before = this.#store.get(keyOf(object))
    if (before !== undefined && isSameVersion(object, before)) return
    this.#put(object, before, initial)
  }

  /** A DELETED event. */
  removed(object: T): void {
    const before = this.#store.get(keyOf(object))
    this.#remember(object)
    const isAnother = before !== undefined && before.metadata.uid !== object.metadata.uid
    const isLate =
      isAnother && isOlderVersion(object.metadata.resourceVersion, before.metadata.resourceVersion)
    if (before !== undefined && !isLate) this.#drop(before, false)
  }

  /** Deletes what `isCovered` claims and the list just read did not hold. */
  retainListed(listedKeys: ReadonlySet<string>, isCovered: (object: T) => boolean): void {
    for (const object of this.#store.list()) {
      if (!listedKeys.has(keyOf(object)) && isCovered(object)) this.#drop(object, true)
    }
  }

  #isLate(object: T, before: T | undefined): boolean {
    if (this.#deletedUids.has(object.metadata.uid ?? '')) return true
    if (before === undefined) return false
    return (
      isSameVersion(object, before) ||
      isOlderVersion(object.metadata.resourceVersion, before.metadata.resourceVersion)
    )
  }

  #put(object: T, before: T | undefined, initial: boolean): void {
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) {
      this.#drop(before, false)
      return this.#put(object, undefined, initial)
    }
    this.#store.set(object)
    this.#tell((handler) =>
      before === undefined ? handler.added?.(object, initial) : handler.updated?.(object, before),
    )
  }

  #drop(object: T, isMissing: boolean): void {
    this.#remember(object)
    this.#store.delete(keyOf(object))
    this.#tell((handler) => handler.deleted?.(object, isMissing))
  }

  #remember(object: T): void {
    if (object.metadata.uid === undefined) return
    this.#deletedUids.add(object.metadata.uid)
    if (this.#deletedUids.size <= rememberedDeletions) return
    for (const oldest of this.#deletedUids) {
      this.#deletedUids.delete(oldest)
      return
    }
  }

  #tell(call: (handler: ObjectHandler<T>) => unknown): void {
    for (const handler of this.#handlers) this.#guard(() => call(handler))
  }

  #guard(call: () => unknown): void {
    const report = (error: unknown): void => this.#log.error(errorFields(error), 'a watch handler failed')
    try {
      const result = call()
      if (result instanceof Promise) result.catch(report)
    } catch (error) {
      report(error)
    }
  }
}

function isSameVersion(left: KubernetesObject, right: KubernetesObject): boolean {
  const version = left.metadata.resourceVersion
  return (
    version !== undefined &&
    version === right.metadata.resourceVersion &&
    left.metadata.uid === right.metadata.uid
  )
}
