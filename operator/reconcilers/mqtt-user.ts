import type { AccessPolicy } from '#core/access/access-policy.ts'
import type { Clock } from '#core/clock.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { formatUsername } from '#core/credentials/username.ts'
import { attributesOfConnection } from '#core/identity/attributes.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { localPartOf, type MqttUser } from '#core/resources/mqtt-user.ts'
import type { FormerPasswordMarks } from '#core/stores/former-password-marks.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { rulesRefusal } from './access-list.ts'
import { accessRefusal, someValue } from './access-readiness.ts'
import type { Endpoints } from './endpoints.ts'
import type { ResourceHost } from './host.ts'
import { type Decision, type KindReconciler, recordOfRefused } from './kind-reconciler.ts'
import { isSame, oldest, type OrganizationFinder, type OrganizationLookup } from './organization-finder.ts'
import { passwordFingerprint } from './password-fingerprint.ts'
import { notReady, type Readiness, synced } from './readiness.ts'
import { recordInForce } from './record-in-force.ts'
import { namesOf } from './references.ts'
import { usernamePlace } from './resource-indexes.ts'
import { UserPlaces } from './user-places.ts'
import { PasswordReader, type UserPassword } from './user-password.ts'
import { admittedAfter, conflictWith, rivalsOf } from './waiting-users.ts'

export interface MqttUserParts {
  readonly host: ResourceHost
  readonly store: Pick<IdentityReader, 'get'>
  readonly finder: OrganizationFinder
  readonly endpoints: Endpoints
  readonly formerPasswords: Pick<FormerPasswordMarks, 'lastUse'>
  readonly now: Clock
}

export type MqttUserFacts =
  /** `isRival`: the username is an older user's. */
  | { readonly refusal: Readiness; readonly isRival: boolean }
  | {
      readonly refusal?: undefined
      readonly username: string
      readonly policy: AccessPolicy
      readonly password: UserPassword
      /** When the former password was used last, in ms since the epoch, while it is of interest. */
      readonly formerLastUse: number | undefined
      /** What is wrong with its own rules. */
      readonly invalid: Readiness | undefined
      /** What this very user may do until now; asked for only where its rules are invalid. */
      readonly formerAccess: AccessPolicy | undefined
      readonly accessRefusal: Readiness | undefined
      readonly isOrganizationSuspended: boolean
    }

type KnownUserPassword = Extract<UserPassword, { refusal?: undefined }>
type Belonging = Extract<OrganizationLookup, { refusal?: undefined }>

export function mqttUserReconciler(parts: MqttUserParts): KindReconciler<'MqttUser', MqttUserFacts> {
  const { host, finder } = parts
  const passwords = new PasswordReader(parts)
  const lookup = ({ metadata, spec }: MqttUser): OrganizationLookup =>
    finder.find(metadata.namespace, spec.organizationRef)
  const claimants = (user: MqttUser, { organization, id }: Belonging): MqttUser[] =>
    host
      .find('MqttUser', 'username', usernamePlace(organization.metadata, localPartOf(user)))
      // Whoever may not belong to the Organization holds no name in it.
      .filter((other) => lookup(other).id === id)
  const holdsName = (user: MqttUser, organization: Belonging): boolean =>
    isSame(oldest(claimants(user, organization)) ?? user, user)
  const places = new UserPlaces({
    host,
    homeOf(user) {
      const home = lookup(user)
      return home.refusal === undefined && holdsName(user, home) ? home : undefined
    },
    isThere: (id) => finder.holderOf(id) !== undefined,
  })
  return {
    kind: 'MqttUser',
    needsFinalizer: true,
    claimOf(user) {
      const { id } = lookup(user)
      return id === undefined ? undefined : { type: 'user', organization: id, name: localPartOf(user) }
    },
    holdsClaim(user) {
      const organization = lookup(user)
      return organization.refusal === undefined && holdsName(user, organization)
    },

    async gather(user) {
      const organization = lookup(user)
      if (organization.refusal !== undefined) return { refusal: organization.refusal, isRival: false }
      const rivals = claimants(user, organization)
      const holder = oldest(rivals) ?? user
      for (const rival of rivals) {
        if (!isSame(rival, holder)) places.pass(rival, holder, organization)
      }
      if (!isSame(holder, user)) return { refusal: conflictWith(holder), isRival: true }
      const limitRefusal = places.refusal(user, organization)
      if (limitRefusal !== undefined) return { refusal: limitRefusal, isRival: false }
      const username = formatUsername({ local: localPartOf(user), organization: organization.id })
      const inForce = (): Promise<UserRecord | undefined> => storedRecord(parts.store, user, organization.id)
      const invalid = rulesRefusal('MqttUser', user.spec)
      const policy = policyOf(user, organization)
      const password = await passwords.read(user, username, inForce)
      return {
        username,
        policy,
        invalid,
        formerAccess: invalid === undefined ? undefined : (await inForce())?.access,
        password,
        formerLastUse: await formerLastUse(parts, user, organization.id, password),
        accessRefusal: accessRefusal(
          host,
          organization.organization,
          policy,
          attributesOfConnection({}, { local: localPartOf(user), organization: organization.id }, someValue),
        ),
        isOrganizationSuspended: organization.organization.spec.suspended === true,
      }
    },

    decide: decideMqttUser,
    retains: ({ spec }) => spec.deletionPolicy === 'Retain',
    afterRemoval: async ({ organization, name }) =>
      passwords.forget(formatUsername({ local: name, organization })),
    dependents: (of) => [...rivalsOf(host, of), ...admittedAfter(of, places)],
  }
}

function decideMqttUser(user: MqttUser, facts: MqttUserFacts): Decision<'MqttUser'> {
  if (facts.refusal !== undefined) {
    const record = facts.isRival ? 'release' : recordOfRefused(facts.refusal)
    return { record, ready: facts.refusal, status: {} }
  }
  const { username, password, invalid } = facts
  if (password.refusal !== undefined) {
    return { record: 'remove', ready: password.refusal, status: { username } }
  }
  // Rules that worked before stay in force; a suspension or a new password counts at once all the same.
  const access = invalid === undefined ? facts.policy : facts.formerAccess
  return {
    record: access === undefined ? 'remove' : recordOf(user, password, access),
    ready: invalid ?? suspension(user, facts) ?? facts.accessRefusal ?? synced(`signs in as ${username}`),
    status: { username, ...secretStatus(password), ...rotationStatus(facts) },
    ...againAfter(password),
  }
}

function recordOf(
  { metadata, spec }: MqttUser,
  password: KnownUserPassword,
  access: AccessPolicy,
): UserRecord {
  return {
    uid: metadata.uid,
    suspended: spec.suspended ?? false,
    ...(spec.deletionPolicy === 'Retain' ? { retain: true } : {}),
    verifiers: verifiersOf(password),
    access,
    limits: spec.limits ?? {},
  }
}

function verifiersOf({ verifier, rotation }: KnownUserPassword): UserRecord['verifiers'] {
  return rotation?.previous === undefined ? [{ verifier }] : [{ verifier }, rotation.previous]
}

function secretStatus(password: KnownUserPassword): Decision<'MqttUser'>['status'] {
  const { secret, isGenerated, rotation } = password
  if (secret === undefined) return {}
  const read = {
    secretResourceVersion: secret.version,
    passwordFingerprint: passwordFingerprint(verifiersOf(password), rotation?.since),
  }
  return isGenerated === true ? { credentialsSecret: { name: secret.name }, ...read } : read
}

function rotationStatus({
  password: { rotation },
  formerLastUse,
}: Extract<MqttUserFacts, { refusal?: undefined }>): Decision<'MqttUser'>['status'] {
  if (rotation === undefined) return {}
  const { since, previous } = rotation
  return {
    lastRotationTime: new Date(since).toISOString(),
    ...(previous === undefined ? {} : { previousPasswordExpiry: new Date(previous.notAfter).toISOString() }),
    ...(formerLastUse === undefined
      ? {}
      : { previousPasswordLastUsed: new Date(formerLastUse).toISOString() }),
  }
}

function againAfter({ rotation }: UserPassword): Pick<Decision<'MqttUser'>, 'againAfterMs'> {
  return rotation?.againAfterMs === undefined ? {} : { againAfterMs: rotation.againAfterMs }
}

/** Also shortly after it has ended: then whoever is left has lost its connection. */
async function formerLastUse(
  { formerPasswords, host }: MqttUserParts,
  user: MqttUser,
  organization: OrganizationId,
  { rotation }: UserPassword,
): Promise<number | undefined> {
  if (rotation === undefined) return undefined
  const at = await formerPasswords.lastUse(organization, localPartOf(user))
  if (at === undefined || at < rotation.since) return undefined
  const ends = rotation.previous === undefined ? 'which has ended' : 'which lets in for a while longer'
  const message = `the former password, ${ends}, was last used at ${new Date(at).toISOString()}`
  host.event('MqttUser', user, { type: 'Warning', reason: 'FormerPasswordUsed', message })
  return at
}

function suspension(
  user: MqttUser,
  { isOrganizationSuspended }: { readonly isOrganizationSuspended: boolean },
): Readiness | undefined {
  if (user.spec.suspended === true)
    return notReady('Suspended', 'the user is refused: spec.suspended is true')
  return isOrganizationSuspended
    ? notReady('OrganizationSuspended', 'the user is refused: the Organization is suspended')
    : undefined
}

function policyOf({ spec }: MqttUser, { ceilings }: Belonging): AccessPolicy {
  return {
    lists: namesOf(spec.accessListRefs),
    rules: spec.access ?? [],
    ceilings: [
      ...ceilings.map((names) => [...names]),
      ...(spec.ceilingAccessListRefs === undefined ? [] : [namesOf(spec.ceilingAccessListRefs)]),
    ],
  }
}

/** The record that is in force, unless it was another user's of the same name. */
async function storedRecord(
  store: MqttUserParts['store'],
  user: MqttUser,
  organization: OrganizationId,
): Promise<UserRecord | undefined> {
  const record = await recordInForce(store, { type: 'user', organization, name: localPartOf(user) })
  return record !== 'damaged' && record?.uid === user.metadata.uid ? record : undefined
}
