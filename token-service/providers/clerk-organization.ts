import { claimOf, objectClaim, optionalText } from '../verifier/claims.ts'
import type { JsonObject } from '../verifier/compact-token.ts'

const names = ['org_id', 'org_slug', 'org_role', 'org_permissions'] as const
const number = /^\d{1,300}$/

/**
 * The active organization as version 1 of Clerk's session tokens spells it, also for version 2, which packs it into `o`
 * and `fea`: one way to bind claims and to map attributes. What such a token says under these names itself is not
 * Clerk's word.
 */
export function withOrganization(claims: JsonObject): JsonObject {
  if (claimOf(claims, 'v') !== 2) return claims
  const others = Object.entries(claims).filter(([name]) => !names.some((each) => each === name))
  return Object.fromEntries([...others, ...organizationClaims(claims)])
}

function organizationClaims(claims: JsonObject): readonly (readonly [string, unknown])[] {
  const organization = objectClaim(claims, 'o')
  if (organization === undefined) return []
  const role = optionalText(organization, 'rol')
  return [
    ['org_id', optionalText(organization, 'id')],
    ['org_slug', optionalText(organization, 'slg')],
    ['org_role', role && `org:${role}`],
    ['org_permissions', permissionsOf(organization, claims)],
  ]
}

/**
 * `per` lists permissions. `fpm` has a number for each feature of the organization in `fea`, whose bits say which of them
 * are meant, the lowest first.
 */
function permissionsOf(organization: JsonObject, claims: JsonObject): readonly string[] {
  const permissions = listOf(organization, 'per')
  const maps = listOf(organization, 'fpm')
  return organizationFeatures(claims).flatMap((feature, index) => {
    const map = maps[index] ?? ''
    const bits = number.test(map) ? BigInt(map) : 0n
    return permissions
      .filter((_, place) => ((bits >> BigInt(place)) & 1n) === 1n)
      .map((permission) => `org:${feature}:${permission}`)
  })
}

/** `o:messages,u:profile,uo:files`: those of the organization. */
function organizationFeatures(claims: JsonObject): readonly string[] {
  const features = listOf(claims, 'fea').map((each) => {
    const [scope = '', ...rest] = each.split(':')
    return { scope, name: rest.join(':') }
  })
  return features.filter(({ scope }) => ['o', 'uo', 'ou'].includes(scope)).map(({ name }) => name)
}

function listOf(claims: JsonObject, name: string): readonly string[] {
  return (
    optionalText(claims, name)
      ?.split(',')
      .map((each) => each.trim()) ?? []
  )
}
