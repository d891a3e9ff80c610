import { type AccessPolicy, emptyPolicy } from '#core/access/access-policy.ts'
import { isTemporary, parseUsername } from '#core/credentials/username.ts'
import {
  type Attributes,
  attributesOfConnection,
  isAttributeName,
  wellKnownAttributes,
} from '#core/identity/attributes.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from './problems.ts'

/** Whose access is asked about: somebody who is there, or what somebody would be. */
export type AskedFor =
  | { readonly user: string }
  | { readonly credential: string }
  | { readonly lists: readonly string[]; readonly attributes: Attributes }

/** What the broker would judge a connection by. */
export interface AskedIdentity {
  readonly policy: AccessPolicy
  readonly attributes: Attributes
  /** Why it would not get so far. */
  readonly cannotConnect?: 'suspended' | 'client-id'
}

interface Readers {
  readonly identities: IdentityReader
  readonly credentials: CredentialReader
}

/** `clientId` as the connection would have it; rules that ask for it do not apply without. */
export async function askedIdentity(
  { identities, credentials }: Readers,
  organization: OrganizationId,
  asked: AskedFor,
  clientId: string | undefined,
): Promise<AskedIdentity> {
  if ('user' in asked) return userOf(identities, organization, asked.user, clientId)
  if ('credential' in asked) return credentialOf(credentials, organization, asked.credential, clientId)
  const { lists, attributes } = asked
  checkNames(attributes)
  return {
    policy: { ...emptyPolicy, lists: [...lists] },
    attributes: {
      ...attributes,
      org_id: organization,
      org_short_id: organization,
      ...(clientId === undefined ? {} : { client_id: clientId }),
    },
  }
}

async function userOf(
  identities: IdentityReader,
  organization: OrganizationId,
  name: string,
  clientId: string | undefined,
): Promise<AskedIdentity> {
  const local = localPartIn(name, organization)
  const record = local === undefined ? undefined : await identities.get('user', organization, local)
  if (local === undefined || record === undefined) throw new ProblemError('user_not_found')
  return {
    policy: record.access,
    attributes: attributesOfConnection({}, { local, organization }, clientId),
    ...(record.suspended ? { cannotConnect: 'suspended' } : {}),
  }
}

async function credentialOf(
  credentials: CredentialReader,
  organization: OrganizationId,
  name: string,
  asked: string | undefined,
): Promise<AskedIdentity> {
  const local = localPartIn(name, organization)
  const issued =
    local === undefined || !isTemporary(local) ? undefined : await credentials.get(organization, local)
  if (local === undefined || issued === undefined) throw new ProblemError('credential_not_found')
  const clientId = asked ?? issued.clientId
  return {
    policy: issued.access,
    attributes: attributesOfConnection(issued.attributes, { local, organization }, clientId),
    ...(issued.clientId === undefined || issued.clientId === clientId ? {} : { cannotConnect: 'client-id' }),
  }
}

/** Of a username as clients give it, or of its local part; undefined when it is another organization's. */
function localPartIn(name: string, organization: OrganizationId): string | undefined {
  if (!name.includes('@')) return name
  const username = parseUsername(name)
  return username?.organization === organization ? username.local : undefined
}

function checkNames(attributes: Attributes): void {
  const remedy = `use ${wellKnownAttributes.join(', ')} or claims.<name>`
  const errors = Object.keys(attributes)
    .filter((name) => !isAttributeName(name))
    .map((name) => ({ field: 'attributes', value: name, remedy }))
  if (errors.length > 0) throw new ProblemError('invalid_request', { errors })
}
