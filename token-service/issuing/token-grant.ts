import type { AccessPolicy } from '#core/access/access-policy.ts'
import type { Problem } from '#core/errors.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { agentPrincipal, type Principal, workerPrincipal } from '#core/identity/principal.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { type Caller, ceilingsOf, isTrusted } from '../callers/caller.ts'
import { ProblemError } from '../problems.ts'
import { matchesWhole } from './agent-id.ts'
import { attributesOf, type ProvenIdentity } from './identify.ts'
import type { CredentialGrant } from './issue-credential.ts'
import type { TokenRequest } from './token-request.ts'

/** Variables that a key may set under their own name; every other one becomes `claims.<name>`. */
const wellKnown: readonly string[] = ['email', 'session_id', 'user_id']

/**
 * What may be asked for, whoever else would be harmed: refused with the problem. Access lists that are named must be
 * there; `knownLists` are those of them that are.
 */
export function checkTokenRequest(
  request: TokenRequest,
  caller: Caller,
  organization: OrganizationRecord,
  knownLists: ReadonlySet<string>,
): void {
  const { kind, attributes = {}, lists = [], onBehalfOf } = request
  // In a browser that nobody has signed in to, a publishable key does not exchange but asks for this.
  const scope = kind === 'anonymous' && !isTrusted(caller) ? 'exchange' : 'tokens:create'
  if (caller.record?.scopes.includes(scope) !== true || (scope !== 'exchange' && !isTrusted(caller))) {
    throw new ProblemError('insufficient_scope', { detail: `the API key lacks the scope ${scope}` })
  }
  if (kind === 'anonymous' && !organization.exchange.anonymous) {
    throw new ProblemError('anonymous_not_allowed')
  }
  const permitted = isTrusted(caller) ? (caller.record?.attributes ?? []) : []
  refuse('attribute_not_allowed', Object.keys(attributes), (name) => permitted.includes(name), {
    field: 'attributes',
    remedy: 'permit it in spec.attributes of the ApiKey, or leave it out',
  })
  // Whoever has a ceiling can ask for any list: it gets nothing beyond.
  const mayName = isTrusted(caller) || caller.record?.ceiling !== undefined
  refuse('access_list_not_allowed', lists, () => mayName, {
    field: 'access_lists',
    remedy: 'give the ApiKey a ceiling (spec.accessListRefs), or leave it out',
  })
  refuse('access_list_not_found', lists, (name) => knownLists.has(name), {
    field: 'access_lists',
    remedy: 'give the name of an AccessList',
  })
  const agents = kind === 'agent' ? [request.name ?? '', ...(request.actors ?? [])] : []
  const pattern = caller.record?.agentIdPattern
  refuse('agent_id_not_allowed', agents, (id) => pattern === undefined || matchesWhole(pattern, id), {
    field: 'agent_id',
    remedy: 'give an id that matches spec.agentIdPattern of the ApiKey',
  })
  if (onBehalfOf !== undefined && Object.keys(attributes).some((name) => wellKnown.includes(name))) {
    const remedy = 'leave email, session_id and user_id out: the identity token says who the person is'
    throw new ProblemError('attribute_not_allowed', { errors: [{ field: 'attributes', remedy }] })
  }
}

function refuse(
  code: ConstructorParameters<typeof ProblemError>[0],
  names: readonly string[],
  isRight: (name: string) => boolean,
  problem: Problem,
): void {
  const errors = names.filter((name) => !isRight(name)).map((value) => ({ ...problem, value }))
  if (errors.length > 0) throw new ProblemError(code, { errors })
}

/** What a request that was checked becomes. `person` is who `onBehalfOf` turned out to be. */
export function tokenGrant(
  request: TokenRequest,
  caller: Caller,
  organization: OrganizationRecord,
  person: ProvenIdentity | undefined,
): CredentialGrant {
  const { kind, name = '', clientId, connections, actors = [] } = request
  const principal = principalOf(kind, name, person)
  const impersonator = person?.identity.actor
  const earlier = impersonator === undefined ? actors : [...actors, impersonator]
  return {
    kind,
    attributes: {
      ...(person === undefined ? {} : attributesOf(person)),
      ...given(request.attributes),
      ...(kind === 'agent' ? { agent_id: name } : {}),
    },
    access: accessOf(request, caller, organization, person),
    ...(principal === undefined ? {} : { principal }),
    ...(person === undefined ? {} : { provider: person.provider }),
    ...(caller.name === undefined ? {} : { apiKey: caller.name }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(connections === undefined ? {} : { connections }),
    ...(person === undefined && actors.length === 0 ? {} : { actors: [name, ...earlier] }),
    ...(person?.record.bindToTokenExpiry === true ? { isFinal: true } : {}),
  }
}

function principalOf(
  kind: TokenRequest['kind'],
  name: string,
  person: ProvenIdentity | undefined,
): Principal | undefined {
  switch (kind) {
    case 'agent':
      return agentPrincipal(name, person?.identity.principal)
    case 'worker':
      return workerPrincipal(name)
    case 'anonymous':
      return undefined
  }
}

/** Whoever acts for a person gets what the request names, and never more than the person has. */
function accessOf(
  { lists, narrowing }: TokenRequest,
  caller: Caller,
  organization: OrganizationRecord,
  person: ProvenIdentity | undefined,
): AccessPolicy {
  const own = person?.record.lists ?? []
  const bounds = person === undefined ? [] : [own.length === 0 ? organization.defaultLists : own]
  return {
    lists: [...(lists ?? own)],
    rules: [],
    ceilings: [...ceilingsOf(caller), ...bounds],
    ...(narrowing === undefined ? {} : { narrowing: [...narrowing] }),
  }
}

function given(attributes: Readonly<Record<string, string>> = {}): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      wellKnown.includes(name) ? name : `claims.${name}`,
      value,
    ]),
  )
}
