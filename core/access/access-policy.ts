import { Type, type Static } from 'typebox'
import type { Attributes } from '#core/identity/attributes.ts'
import { type Access, compileAccess, intersectAccess, type NamedRules } from './access.ts'
import { AccessRuleSchema } from './access-rule.ts'
import { fillForAllow, unusableVariables } from './identity-variables.ts'

/**
 * What a user, a provider, a key or a request says about access: it *names* lists, so that an edit of a list
 * is one write. `ceilings` are bounds set by whoever issued the identity: each is a set of lists outside of
 * which nothing is allowed. A ceiling without lists allows nothing.
 */
export const AccessPolicySchema = Type.Object({
  lists: Type.Array(Type.String()),
  rules: Type.Array(AccessRuleSchema),
  ceilings: Type.Array(Type.Array(Type.String())),
  /** Rules of whoever asked for the credential: one more bound, outside of which nothing is allowed. */
  narrowing: Type.Optional(Type.Array(AccessRuleSchema)),
})
export type AccessPolicy = Static<typeof AccessPolicySchema>

export const emptyPolicy: AccessPolicy = { lists: [], rules: [], ceilings: [] }

/** Lists that are there, by name. */
export type FoundLists = ReadonlyMap<string, { readonly rules: NamedRules['rules'] }>

/** Something that has to allow what is to be allowed: what an identity has of its own, or a bound around it. */
export interface AccessPart {
  readonly kind: 'own' | 'ceiling' | 'narrowing'
  readonly lists: readonly NamedRules[]
  /** Lists that are named and not there. The part then denies everything: one might have held a deny. */
  readonly missing: readonly string[]
}

/** What verdicts show for rules that stand in no list; no list has such a name. */
const inlineRules = '(inline)'
const narrowingRules = '(narrowing)'

/** Names of all lists that deciding by this policy takes. */
export function listsOf(policy: AccessPolicy, defaults: readonly string[]): string[] {
  return [...new Set([...ownLists(policy, defaults), ...policy.ceilings.flat()])]
}

/** What decides, all of it together. `defaults` are the organization's lists, for a policy that has nothing of its own. */
export function partsOf(
  policy: AccessPolicy,
  defaults: readonly string[],
  found: FoundLists,
): readonly [AccessPart, ...AccessPart[]] {
  const { rules, ceilings, narrowing } = policy
  const own = partOf('own', ownLists(policy, defaults), found)
  return [
    rules.length === 0 ? own : { ...own, lists: [...own.lists, { list: inlineRules, rules }] },
    ...ceilings.map((names) => partOf('ceiling', names, found)),
    ...(narrowing === undefined ? [] : [narrowingPart(narrowing)]),
  ]
}

export function compilePart({ lists, missing }: AccessPart, attributes: Attributes): Access {
  return compileAccess(missing.length === 0 ? lists : [], attributes)
}

/** Whether any allow of the part applies to whoever has these attributes; without compiling all of them. */
export function allowsAnything({ lists, missing }: AccessPart, attributes: Attributes): boolean {
  return (
    missing.length === 0 &&
    allowedTopics(lists).some((topic) => fillForAllow(topic, attributes) !== undefined)
  )
}

/** Variables that keep allows of the part from applying. */
export function variablesMissing({ lists }: AccessPart, attributes: Attributes): string[] {
  const unusable = allowedTopics(lists).flatMap((topic) => unusableVariables(topic, attributes))
  return [...new Set(unusable.map(({ name }) => name))]
}

function allowedTopics(lists: readonly NamedRules[]): string[] {
  return lists.flatMap(({ rules }) =>
    rules.flatMap(({ effect, topics }) => (effect === 'allow' ? topics : [])),
  )
}

/** The policy compiled for one identity. */
export function resolveAccess(
  policy: AccessPolicy,
  defaults: readonly string[],
  found: FoundLists,
  attributes: Attributes,
): Access {
  const [own, ...bounds] = partsOf(policy, defaults, found)
  return intersectAccess(
    compilePart(own, attributes),
    bounds.map((bound) => compilePart(bound, attributes)),
  )
}

function partOf(kind: AccessPart['kind'], names: readonly string[], found: FoundLists): AccessPart {
  const lists: NamedRules[] = []
  const missing: string[] = []
  for (const list of names) {
    const record = found.get(list)
    if (record === undefined) missing.push(list)
    else lists.push({ list, rules: record.rules })
  }
  return { kind, lists, missing }
}

function narrowingPart(rules: NamedRules['rules']): AccessPart {
  return { kind: 'narrowing', lists: [{ list: narrowingRules, rules }], missing: [] }
}

function ownLists(policy: AccessPolicy, defaults: readonly string[]): readonly string[] {
  return policy.lists.length === 0 && policy.rules.length === 0 ? defaults : policy.lists
}
