import { Type } from 'typebox'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { principalsOf } from '../verifier/verify-token.ts'

export const principal = Type.String({
  pattern: '^(sub|agent|worker|tmp):.{1,300}$',
  description: 'As the list shows it, such as agent:planner-1 or worker:billing.',
})

export const userId = Type.String({
  minLength: 1,
  maxLength: 255,
  description: 'A subject of identity tokens: what was exchanged for this person.',
})

/** Whom a request names; undefined when nobody. A person may be known to several providers. */
export async function principalsNamed(
  identities: IdentityReader,
  organization: OrganizationId,
  named: { readonly principal?: string; readonly user_id?: string },
): Promise<readonly Principal[] | undefined> {
  const only = named.principal as Principal | undefined
  const subject = named.user_id
  if (subject === undefined) return only === undefined ? undefined : [only]
  const providers = await identities.list('provider', organization)
  const principals = [...providers.values()].flatMap((record) => principalsOf(record, subject))
  return [...new Set(principals)].filter((each) => only === undefined || each === only)
}
