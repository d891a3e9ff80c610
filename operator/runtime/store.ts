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
}

export type IndexFunction<T> = (object: T) => readonly string[]

interface Index<T> {
  readonly valuesOf: IndexFunction<T>
  readonly keysByValue: Map<string, Set<string>>
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
    const index = { valuesOf: this.#guarded(name, valuesOf), keysByValue: new Map<string, Set<string>>() }
    for (const [key, object] of this.#objects) addTo(index, key, object)
    this.#indexes.set(name, index)
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name)
    if (index === undefined) throw new Error(`there is no index ${name}`)
    const keys = [...(index.keysByValue.get(value) ?? [])]
    return keys.map((key) => this.#objects.get(key)).filter((object) => object !== undefined)
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

function addTo<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const keys = index.keysByValue.get(value)
    if (keys === undefined) index.keysByValue.set(value, new Set([key]))
    else keys.add(key)
  }
}

function removeFrom<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const keys = index.keysByValue.get(value)
    keys?.delete(key)
    if (keys?.size === 0) index.keysByValue.delete(value)
  }
}
