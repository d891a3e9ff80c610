import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '#core/clock.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { formatUsername } from '#core/credentials/username.ts'
import { type Verifier, verifierOfGenerated } from '#core/credentials/verifier.ts'
import { isDomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { localPartOf, type MqttUser, type MqttUserSpec } from '#core/resources/mqtt-user.ts'
import type { ControlLogWitness, ControlLogWriter } from '#core/stores/control-log.ts'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'
import {
  beginIdempotent,
  idempotencyAnnotation,
  type IdempotentRequest,
  repeatIdempotent,
} from './idempotent-password.ts'
import { isInForce, namesOf } from './user-in-force.ts'
import { homeOf, resourceNameOf } from './user-names.ts'
import { type SpecChange, type UserHome, type UserResources, UserResourcesError } from './user-resources.ts'
import { checkSpec, specChangeOf, type WantedUser, withChange } from './wanted-user.ts'

export interface UsersOptions {
  readonly resources: UserResources
  readonly identities: IdentityReader
  readonly control: ControlLogWitness & ControlLogWriter
  readonly now: Clock
  /** How long a change is waited for until it is in force. */
  readonly settleMs: number
  /** How long the brokers are waited for then. */
  readonly confirmMs: number
}

/** Who asks: a key that was found to have the scope, and its organization. */
export interface UserCaller extends FoundApiKey {
  readonly of: OrganizationRecord
}

/** What a change came to. */
export interface Settled {
  readonly user: MqttUser
  /** Whether every connection is judged by it from now on. */
  readonly isInForce: boolean
  /** Replicas of the broker that have not said so. */
  readonly unconfirmed: readonly string[]
}

export interface SettledWithPassword extends Settled {
  readonly password: string
}

export interface CreatedUser extends SettledWithPassword {
  /** The same request has made it before. */
  readonly isRepeated: boolean
}

/** On an MqttUser: the ApiKey that made it. */
export const keyAnnotation = 'cloudsignal.app/api-key'

/** What the operator says of a user that was made in the same moment as another one, and had to give way. */
const refusedCreations: ReadonlyMap<string | undefined, 'user_exists' | 'user_limit_reached'> = new Map([
  ['UsernameConflict', 'user_exists'],
  ['UserLimitReached', 'user_limit_reached'],
])

const repeatableMs = 24 * 3_600_000
const mostAttempts = 4

/**
 * Permanent users, for the organization of an API key. The resource is the one source of truth: it is written here, and
 * the operator makes it a record. A key with a ceiling makes users under that ceiling, and sees no others.
 */
export class Users {
  readonly #options: UsersOptions

  constructor(options: UsersOptions) {
    this.#options = options
  }

  async create(
    caller: UserCaller,
    username: string,
    wanted: WantedUser,
    idempotency: Pick<IdempotentRequest, 'apiKey' | 'key'> | undefined,
  ): Promise<CreatedUser> {
    const { resources, identities } = this.#options
    const home = homeOf(caller.of)
    const name = resourceNameOf(home.organization, username)
    const asked = newSpec(caller, home, username, wanted)
    checkSpec(name, asked)
    const request = idempotency && {
      ...idempotency,
      username: formatUsername({ local: username, organization: caller.organization }),
      content: JSON.stringify(asked),
    }
    const present = await resources.get(home, name)
    if (present !== undefined) return this.#again(caller, present, request)
    // One that is declared by a resource of another name, or left behind by one.
    const record = await identities.get('user', caller.organization, username)
    if (record !== undefined) throw new ProblemError('user_exists')
    await this.#checkLists(caller.organization, asked)
    await this.#checkRoom(caller)

    const begun = request === undefined ? undefined : beginIdempotent(request)
    const password = begun?.password ?? generateSecret('mp')
    const passwordVerifier = verifierOf(password, caller.organization, username)
    const annotations = {
      [keyAnnotation]: caller.name,
      ...(begun === undefined ? {} : { [idempotencyAnnotation]: begun.annotation }),
    }
    try {
      const user = await resources.create(home, { name, annotations, spec: { ...asked, passwordVerifier } })
      return { ...(await this.#created(caller, user)), password, isRepeated: false }
    } catch (error) {
      if (!isFailure(error, 'already-exists')) throw error
      const other = await resources.get(home, name)
      if (other === undefined) throw new ProblemError('user_exists')
      return this.#again(caller, other, request)
    }
  }

  /** Rejects with `user_not_found` for whatever the caller may not see. */
  async find(caller: UserCaller, username: string): Promise<MqttUser> {
    const user = await this.#look(caller, username)
    if (user === undefined || user.metadata.deletionTimestamp !== undefined) {
      throw new ProblemError('user_not_found')
    }
    return user
  }

  /** A page of those that the caller may see: with a ceiling, it may hold fewer than asked for. */
  async list(
    caller: UserCaller,
    limit: number,
    cursor: string | undefined,
  ): Promise<{ readonly users: readonly MqttUser[]; readonly next?: string }> {
    const page = await this.#options.resources.list(homeOf(caller.of), limit, cursor)
    const users = page.users.filter(
      (user) => mayTouch(caller, user) && user.metadata.deletionTimestamp === undefined,
    )
    return { ...page, users }
  }

  /** The names of those users that are in force as their resources say. */
  async inForce(organization: OrganizationId, users: readonly MqttUser[]): Promise<ReadonlySet<string>> {
    const names = users.map(localPartOf)
    const records = await this.#options.identities.getMany('user', organization, names)
    return new Set(users.filter((user) => isInForce(user, records.get(localPartOf(user)))).map(localPartOf))
  }

  async change(caller: UserCaller, username: string, wanted: WantedUser): Promise<Settled> {
    const change = specChangeOf(wanted)
    const user = await this.#change(caller, username, async (present) => {
      const spec = withChange(present.spec, change)
      checkSpec(present.metadata.name, spec)
      await this.#checkLists(caller.organization, 'accessListRefs' in change ? spec : {})
      return change
    })
    return this.#confirmed(caller.organization, user)
  }

  /** The former password is worth nothing from now on, or once so many seconds are over. */
  async rotate(caller: UserCaller, username: string, overlap: number): Promise<SettledWithPassword> {
    const password = generateSecret('mp')
    const passwordVerifier = verifierOf(password, caller.organization, username)
    const user = await this.#change(caller, username, async ({ spec }) => ({
      passwordVerifier,
      formerPasswordVerifier: formerVerifier(spec, this.#options.now(), overlap),
    }))
    return { ...(await this.#confirmed(caller.organization, user)), password }
  }

  /** `isInForce`: it is gone, and so are its connections. */
  async remove(caller: UserCaller, username: string): Promise<Settled> {
    const { resources, identities, settleMs } = this.#options
    const user = await this.#look(caller, username)
    if (user === undefined) throw new ProblemError('user_not_found')
    await resources.remove(user)
    const home = homeOf(caller.of)
    const isGone = await until(settleMs, async () => {
      const record = await identities.get('user', caller.organization, username)
      if (record?.uid === user.metadata.uid) return false
      const present = await resources.get(home, user.metadata.name)
      return present?.metadata.uid !== user.metadata.uid
    })
    return isGone ? this.#told(caller.organization, user) : { user, isInForce: false, unconfirmed: [] }
  }

  async #look(caller: UserCaller, username: string): Promise<MqttUser | undefined> {
    const home = homeOf(caller.of)
    const user = await this.#options.resources.get(home, resourceNameOf(home.organization, username))
    return user !== undefined && localPartOf(user) === username && mayTouch(caller, user) ? user : undefined
  }

  async #change(
    caller: UserCaller,
    username: string,
    changeOf: (user: MqttUser) => Promise<SpecChange>,
  ): Promise<MqttUser> {
    for (let attempt = 1; ; attempt += 1) {
      const present = await this.find(caller, username)
      const change = await changeOf(present)
      try {
        return await this.#options.resources.change(present, change)
      } catch (error) {
        // Its status is written all the time, which makes it another version as well.
        if (!isFailure(error, 'conflict') || attempt === mostAttempts) throw error
      }
    }
  }

  /** A request to create what is there. */
  async #again(
    caller: UserCaller,
    present: MqttUser,
    request: IdempotentRequest | undefined,
  ): Promise<CreatedUser> {
    const { creationTimestamp = '', deletionTimestamp, annotations } = present.metadata
    const age = this.#options.now() - Date.parse(creationTimestamp)
    const isOpen = deletionTimestamp === undefined && mayTouch(caller, present) && age < repeatableMs
    if (request === undefined || !isOpen) throw new ProblemError('user_exists')
    const repetition = repeatIdempotent(annotations?.[idempotencyAnnotation], request)
    if ('mismatch' in repetition) {
      throw new ProblemError(
        repetition.mismatch === 'other-content' ? 'idempotency_key_reused' : 'user_exists',
      )
    }
    const { password } = repetition
    const verifier = verifierOf(password, caller.organization, localPartOf(present))
    if (verifier.digest !== present.spec.passwordVerifier?.digest) throw new ProblemError('user_exists')
    return { ...(await this.#created(caller, present)), password, isRepeated: true }
  }

  async #created(caller: UserCaller, user: MqttUser): Promise<Settled> {
    const { resources } = this.#options
    if (await this.#settles(caller.organization, user)) return { user, isInForce: true, unconfirmed: [] }
    const home = homeOf(caller.of)
    const seen = await resources.get(home, user.metadata.name).catch(() => undefined)
    const problem = refusedCreations.get(readyOf(seen)?.reason)
    if (problem !== undefined) {
      await resources.remove(user)
      throw new ProblemError(problem)
    }
    return { user: seen ?? user, isInForce: false, unconfirmed: [] }
  }

  async #confirmed(organization: OrganizationId, user: MqttUser): Promise<Settled> {
    return (await this.#settles(organization, user))
      ? this.#told(organization, user)
      : { user, isInForce: false, unconfirmed: [] }
  }

  /** Waits for every broker: they have looked at the record once they have come to an entry that was made after it. */
  async #told(organization: OrganizationId, user: MqttUser): Promise<Settled> {
    const { control, confirmMs } = this.#options
    try {
      const position = await control.append({ type: 'user', organization, name: localPartOf(user) })
      const { missing } = await control.applied([position], confirmMs)
      return { user, isInForce: true, unconfirmed: missing }
    } catch (error) {
      if (!isDomainError(error)) throw error
      return { user, isInForce: false, unconfirmed: [] }
    }
  }

  #settles(organization: OrganizationId, user: MqttUser): Promise<boolean> {
    const { identities, settleMs } = this.#options
    return until(settleMs, async () =>
      isInForce(user, await identities.get('user', organization, localPartOf(user))),
    )
  }

  async #checkLists(organization: OrganizationId, spec: Pick<MqttUserSpec, 'accessListRefs'>): Promise<void> {
    const names = namesOf(spec.accessListRefs)
    const found = await this.#options.identities.getMany('access-list', organization, names)
    const errors = names
      .filter((name) => !found.has(name))
      .map((value) => ({ field: 'access_lists', value, remedy: 'give the name of an AccessList' }))
    if (errors.length > 0) throw new ProblemError('access_list_not_found', { errors })
  }

  async #checkRoom({ organization, of: { limits } }: UserCaller): Promise<void> {
    if (limits.users === undefined) return
    const count = await this.#options.identities.count('user', organization)
    if (count >= limits.users) throw new ProblemError('user_limit_reached')
  }
}

/** Why it is not ready, where that is known of the spec as it is. */
export function readyOf(
  user: MqttUser | undefined,
): { readonly status: string; readonly reason: string; readonly message: string } | undefined {
  const ready = user?.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.observedGeneration === user?.metadata.generation ? ready : undefined
}

function newSpec(
  { record }: UserCaller,
  { organization }: UserHome,
  username: string,
  wanted: WantedUser,
): MqttUserSpec {
  const ceiling = record.ceiling?.map((name) => ({ name }))
  const base: MqttUserSpec = {
    organizationRef: { name: organization },
    username,
    ...(ceiling === undefined ? {} : { ceilingAccessListRefs: ceiling }),
  }
  return withChange(base, specChangeOf(wanted))
}

/** Whoever could change a user beyond the key's ceiling, or take its password, would have left the ceiling. */
function mayTouch({ record: { ceiling } }: UserCaller, { spec }: MqttUser): boolean {
  if (ceiling === undefined) return true
  const own = spec.ceilingAccessListRefs
  return own !== undefined && sameNames(namesOf(own), ceiling)
}

function sameNames(left: readonly string[], right: readonly string[]): boolean {
  const names = new Set(left)
  return names.size === new Set(right).size && right.every((name) => names.has(name))
}

function verifierOf(password: string, organization: OrganizationId, local: string): Verifier {
  return verifierOfGenerated(password, { kind: 'user', name: formatUsername({ local, organization }) })
}

/** One former password at most: that before it ends now. */
function formerVerifier(
  { passwordVerifier }: MqttUserSpec,
  now: number,
  overlap: number,
): NonNullable<MqttUserSpec['formerPasswordVerifier']> | null {
  if (overlap === 0 || passwordVerifier?.algorithm !== 'sha256') return null
  const { algorithm, digest } = passwordVerifier
  const [rotatedAt, notAfter] = [now, now + overlap * 1_000].map((time) => new Date(time).toISOString())
  return { algorithm, digest, rotatedAt: rotatedAt ?? '', notAfter: notAfter ?? '' }
}

function isFailure(error: unknown, failure: UserResourcesError['failure']): boolean {
  return error instanceof UserResourcesError && error.failure === failure
}

const firstLookMs = 10
const longestLookMs = 200

/** Whether it holds in time. What can not be asked just now does not hold. */
async function until(timeoutMs: number, holds: () => Promise<boolean>): Promise<boolean> {
  const end = performance.now() + timeoutMs
  for (let wait = firstLookMs; ; wait = Math.min(wait * 1.5, longestLookMs)) {
    try {
      if (await holds()) return true
    } catch (error) {
      if (!isDomainError(error) && !(error instanceof UserResourcesError)) throw error
    }
    if (performance.now() + wait >= end) return false
    await pause(wait)
  }
}
