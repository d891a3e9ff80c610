interface Level<V> {
  readonly children: Map<string, Level<V>>
  entry?: { readonly topic: string; readonly value: V }
}

/** Levels that a search looks at before it lets others have their turn. */
const levelsPerTurn = 1_000

interface Pace {
  left: number
}

/** Values by topic name, found by filter: a search walks only levels that the filter allows. */
export class TopicTree<V> {
  readonly #root: Level<V> = { children: new Map() }
  #size = 0

  get size(): number {
    return this.#size
  }

  get(topic: string): V | undefined {
    return this.#path(topic).at(-1)?.entry?.value
  }

  set(topic: string, value: V): void {
    let level = this.#root
    for (const name of topic.split('/')) {
      const next = level.children.get(name) ?? { children: new Map() }
      level.children.set(name, next)
      level = next
    }
    if (level.entry === undefined) this.#size += 1
    level.entry = { topic, value }
  }

  delete(topic: string): void {
    const names = topic.split('/')
    const path = this.#path(topic)
    const last = path.at(-1)
    if (last?.entry === undefined) return
    delete last.entry
    this.#size -= 1
    for (let index = names.length - 1; index >= 0; index -= 1) {
      const level = path[index + 1]
      if (level === undefined || level.entry !== undefined || level.children.size > 0) return
      path[index]?.children.delete(names[index] ?? '')
    }
  }

  /**
   * `$` topics only for a filter that begins as they do [MQTT-4.7.2-1]. Yields undefined every now and then: who
   * searches lets others have their turn then. Changes meanwhile harm nothing; a topic that was set anew may come
   * twice.
   */
  *find(filter: string): Generator<V | undefined> {
    yield* this.#search(this.#root, filter.split('/'), 0, { left: levelsPerTurn })
  }

  *#search(level: Level<V>, names: readonly string[], index: number, pace: Pace): Generator<V | undefined> {
    if (isTimeForOthers(pace)) yield undefined
    const name = names[index]
    if (name === '#') {
      yield* this.#below(level, index === 0, pace)
    } else if (name === '+') {
      for (const [own, child] of level.children) {
        if (index > 0 || !own.startsWith('$')) yield* this.#search(child, names, index + 1, pace)
      }
    } else if (name !== undefined) {
      const child = level.children.get(name)
      if (child !== undefined) yield* this.#search(child, names, index + 1, pace)
    } else if (level.entry !== undefined) {
      yield level.entry.value
    }
  }

  *#below(level: Level<V>, isRoot: boolean, pace: Pace): Generator<V | undefined> {
    if (isTimeForOthers(pace)) yield undefined
    if (level.entry !== undefined) yield level.entry.value
    for (const [name, child] of level.children) {
      if (!isRoot || !name.startsWith('$')) yield* this.#below(child, false, pace)
    }
  }

  /** The root and each level down to the topic's; empty when there is no such level. */
  #path(topic: string): Level<V>[] {
    const path = [this.#root]
    for (const name of topic.split('/')) {
      const next = path.at(-1)?.children.get(name)
      if (next === undefined) return []
      path.push(next)
    }
    return path
  }
}

function isTimeForOthers(pace: Pace): boolean {
  pace.left -= 1
  if (pace.left > 0) return false
  pace.left = levelsPerTurn
  return true
}
