/**
 * Objects by key, with indexes. What a Reflector fills and everyone else reads.
 *
 * The objects are shared: never change one, copy it first. An index maps an object to any number of values, such
 * as the Secrets it names; it must be pure. An object it throws for is logged and left out of that index.
 */
import { errorFields, type Log } from './log.ts'
import { keyOf, type KubernetesObject } from './objects.ts'

export interface ReadableStore<T extends KubernetesObject> {
  readonly size: number
  get(key: string): T | undefined
  list(): T[]
  keys(): string[]
  /** Objects whose index `name` holds `value`. Throws when there is no such index. */
  byIndex(name: string, value: string): T[]
  /** How many those are. */
  countByIndex(name: string, value: string): number
}

export type IndexFunction<T> = (object: T) => readonly string[]

interface Index<T> {
  readonly valuesOf: IndexFunction<T>
  /** A set only where a value has several keys: most have one, and ten thousand sets take their place. */
  readonly keysByValue: Map<string, string | Set<string>>
}

export class Store<T extends KubernetesObject> implements ReadableStore<T> {
  readonly #objects = new Map<string, T>()
  readonly #indexes = new Map<string, Index<T>>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  get size(): number {
    return this.#objects.size
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  keys(): string[] {
    return [...this.#objects.keys()]
  }

  /** May be called at any time; covers what is already there. Throws when the name is taken. */
  index(name: string, valuesOf: IndexFunction<T>): void {
    if (this.#indexes.has(name)) throw new Error(`the index ${name} exists`)
    const index = {
      valuesOf: this.#guarded(name, valuesOf),
      keysByValue: new Map<string, string | Set<string>>(),
    }
    for (const [key, object] of this.#objects) addTo(index, key, object)
    this.#indexes.set(name, index)
  }

  byIndex(name: string, value: string): T[] {
    return keysUnder(this.#index(name), value)
      .map((key) => this.#objects.get(key))
      .filter((object) => object !== undefined)
  }

  countByIndex(name: string, value: string): number {
    const keys = this.#index(name).keysByValue.get(value)
    return keys === undefined ? 0 : typeof keys === 'string' ? 1 : keys.size
  }

  set(object: T): void {
    const key = keyOf(object)
    this.delete(key)
    this.#objects.set(key, object)
    for (const index of this.#indexes.values()) addTo(index, key, object)
  }

  delete(key: string): void {
    const object = this.#objects.get(key)
    if (object === undefined) return
    this.#objects.delete(key)
    for (const index of this.#indexes.values()) removeFrom(index, key, object)
  }

  #index(name: string): Index<T> {
    const index = this.#indexes.get(name)
    if (index === undefined) throw new Error(`there is no index ${name}`)
    return index
  }

  #guarded(index: string, valuesOf: IndexFunction<T>): IndexFunction<T> {
    return (object) => {
      try {
        return valuesOf(object)
      } catch (error) {
        this.#log.error({ ...errorFields(error), index, key: keyOf(object) }, 'an index function failed')
        return []
      }
    }
  }
}

function keysUnder<T>({ keysByValue }: Index<T>, value: string): string[] {
  const keys = keysByValue.get(value) ?? []
  return typeof keys === 'string' ? [keys] : [...keys]
}

function addTo<T>({ valuesOf, keysByValue }: Index<T>, key: string, object: T): void {
  for (const value of valuesOf(object)) {
    const keys = keysByValue.get(value)
    if (keys === undefined) keysByValue.set(value, key)
    else if (typeof keys !== 'string') keys.add(key)
    else if (keys !== key) keysByValue.set(value, new Set([keys, key]))
  }
}

function removeFrom<T>({ valuesOf, keysByValue }: Index<T>, key: string, object: T): void {
  for (const value of valuesOf(object)) {
    const keys = keysByValue.get(value)
    if (keys === key) keysByValue.delete(value)
    if (keys === undefined || typeof keys === 'string') continue
    keys.delete(key)
    if (keys.size === 0) keysByValue.delete(value)
  }
}
