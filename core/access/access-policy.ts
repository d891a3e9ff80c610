import { Type, type Static } from 'typebox'
import type { Attributes } from '#core/identity/attributes.ts'
import { type Access, compileAccess, intersectAccess, type NamedRules } from './access.ts'
import { AccessRuleSchema } from './access-rule.ts'

/**
 * What a user, a provider, a key or a request says about access: it *names* lists, so that an edit of a list
 * is one write. `ceilings` are bounds set by whoever issued the identity: each is a set of lists outside of
 * which nothing is allowed. A ceiling without lists allows nothing.
 */
export const AccessPolicySchema = Type.Object({
  lists: Type.Array(Type.String()),
  rules: Type.Array(AccessRuleSchema),
  ceilings: Type.Array(Type.Array(Type.String())),
})
export type AccessPolicy = Static<typeof AccessPolicySchema>

export const emptyPolicy: AccessPolicy = { lists: [], rules: [], ceilings: [] }

/** The name that verdicts show for rules which stand at the identity itself. */
const inlineRules = 'inline'

/** Names of all lists that deciding by this policy takes. */
export function listsOf(policy: AccessPolicy, defaults: readonly string[]): string[] {
  return [...new Set([...ownLists(policy, defaults), ...policy.ceilings.flat()])]
}

/**
 * The policy compiled for one identity. `defaults` are the organization's lists, for a policy that refers to
 * nothing of its own. A list that is not in `found` denies everything: it might have held a deny.
 */
export function resolveAccess(
  policy: AccessPolicy,
  defaults: readonly string[],
  found: ReadonlyMap<string, { readonly rules: NamedRules['rules'] }>,
  attributes: Attributes,
): Access {
  const compile = (names: readonly string[], rules: NamedRules['rules']): Access => {
    const lists = names.map((list) => ({ list, rules: found.get(list)?.rules }))
    const known = lists.filter((entry): entry is NamedRules => entry.rules !== undefined)
    const own = rules.length === 0 ? [] : [{ list: inlineRules, rules }]
    return compileAccess(known.length === lists.length ? [...known, ...own] : [], attributes)
  }
  const ceilings = policy.ceilings.map((names) => compile(names, []))
  return intersectAccess(compile(ownLists(policy, defaults), policy.rules), ceilings)
}

function ownLists(policy: AccessPolicy, defaults: readonly string[]): readonly string[] {
  return policy.lists.length === 0 && policy.rules.length === 0 ? defaults : policy.lists
}
