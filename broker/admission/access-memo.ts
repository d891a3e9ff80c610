import type { Access } from '#core/access/access.ts'
import { type AccessPolicy, type FoundLists, listsOf, resolveAccess } from '#core/access/access-policy.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'

interface Compiled {
  readonly defaults: readonly string[]
  /** The lists as they were found last. */
  found: FoundLists
  readonly lists: readonly unknown[]
  readonly access: Access
}

/**
 * The compiled access of each user, for as long as the records it was made of are the same ones. Clients of one
 * user share it; not where a rule speaks of the client id.
 */
export class AccessMemo {
  readonly #compiled = new WeakMap<AccessPolicy, Compiled>()

  /** `policy` is that of one identity: all its attributes but the client id are always the same. */
  resolve(
    policy: AccessPolicy,
    { defaultLists }: OrganizationRecord,
    found: FoundLists,
    attributes: Attributes,
  ): Access {
    const known = this.#compiled.get(policy)
    if (known?.defaults === defaultLists && known.found === found) return known.access
    const lists = listsOf(policy, defaultLists).map((name) => found.get(name))
    if (known?.defaults === defaultLists && areSame(known.lists, lists)) {
      known.found = found
      return known.access
    }
    const access = resolveAccess(policy, defaultLists, found, attributes)
    if (!dependsOnClient(policy, lists))
      this.#compiled.set(policy, { defaults: defaultLists, found, lists, access })
    return access
  }
}

function areSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((one, index) => one === others[index])
}

type Ruled = { readonly rules: readonly { readonly topics: readonly string[] }[] } | undefined

function dependsOnClient(policy: AccessPolicy, lists: readonly Ruled[]): boolean {
  const all: Ruled[] = [policy, { rules: policy.narrowing ?? [] }, ...lists]
  return all.some((one) =>
    one?.rules.some(({ topics }) => topics.some((topic) => topic.includes('{client_id}'))),
  )
}
