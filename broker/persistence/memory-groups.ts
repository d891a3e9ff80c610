import { filterOfGroup, groupOf } from './group.ts'

/** Whose turn it is, the next first; whether each is connected. */
type Members = Map<string, boolean>

/** Groups of shared subscriptions in one process: who is a member, and whose turn it is. */
export class MemoryGroups {
  readonly #members = new Map<string, Members>()
  readonly #ofSession = new Map<string, Set<string>>()

  /** Returns the filter of a group that is new. */
  join(id: string, shared: string): string | undefined {
    const group = groupOf(shared)
    if (group === undefined) return undefined
    const own = this.#ofSession.get(id) ?? new Set<string>()
    this.#ofSession.set(id, own.add(group))
    const known = this.#members.get(group)
    const members: Members = known ?? new Map<string, boolean>()
    this.#members.set(group, members)
    this.arrive(id, group)
    return known === undefined ? filterOfGroup(shared) : undefined
  }

  of(id: string): readonly string[] {
    return [...(this.#ofSession.get(id) ?? [])]
  }

  /** It is connected, and last in turn. */
  arrive(id: string, group: string): void {
    const members = this.#members.get(group)
    members?.delete(id)
    members?.set(id, true)
  }

  away(id: string, group: string): void {
    this.#members.get(group)?.set(id, false)
  }

  /** Returns whether it was the last. */
  leave(id: string, group: string): boolean {
    const own = this.#ofSession.get(id)
    if (own?.delete(group) === true && own.size === 0) this.#ofSession.delete(id)
    const members = this.#members.get(group)
    members?.delete(id)
    if (members === undefined || members.size > 0) return false
    return this.#members.delete(group)
  }

  hasConnected(group: string): boolean {
    return [...(this.#members.get(group)?.values() ?? [])].includes(true)
  }

  /** Undefined when none is connected. */
  pick(group: string): string | undefined {
    for (const [id, isConnected] of this.#members.get(group) ?? []) {
      if (!isConnected) continue
      this.arrive(id, group)
      return id
    }
    return undefined
  }
}
