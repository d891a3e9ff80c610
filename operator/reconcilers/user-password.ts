import type { Clock } from '#core/clock.ts'
import { generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import {
  type Verifier,
  type VerifierBinding,
  verifierOfChosen,
  verifierOfGenerated,
  verifySecret,
} from '#core/credentials/verifier.ts'
import type { MqttUser, MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { credentialsOf, type Endpoints } from './endpoints.ts'
import { ensureSecret } from './generated-secret.ts'
import type { ResourceHost, StoredSecret } from './host.ts'
import {
  beginRotation,
  isDue,
  nextLook,
  readRotation,
  rotationData,
  type RotationState,
  stillValid,
} from './password-rotation.ts'
import { notReady, type Readiness } from './readiness.ts'
import { credentialsSecretName } from './secret-names.ts'

/** How a user proves who it is, or why it can not. `isGenerated`: the Secret is one that was made for it. */
export type UserPassword =
  | {
      readonly refusal?: undefined
      readonly verifier: Verifier
      readonly secret?: StoredSecret
      readonly isGenerated?: boolean
      readonly rotation?: PasswordRotation
    }
  | {
      readonly refusal: Readiness
      readonly secret?: undefined
      readonly isGenerated?: undefined
      readonly rotation?: undefined
    }

/** Of a generated password. */
export interface PasswordRotation {
  /** Ms since the epoch. */
  readonly since: number
  /** The former password, while it lets in. */
  readonly previous?: NonNullable<RotationState['previous']> | undefined
  readonly againAfterMs?: number | undefined
}

export interface PasswordReaderParts {
  readonly host: ResourceHost
  readonly endpoints: Endpoints
  readonly now: Clock
}

const retryMs = 60_000

/** Where a user's password comes from: a verifier in the spec, a Secret of one's own, or one that is generated. */
export class PasswordReader {
  readonly #host: ResourceHost
  readonly #endpoints: Endpoints
  readonly #now: Clock
  readonly #verifiers = new PasswordVerifiers()

  constructor({ host, endpoints, now }: PasswordReaderParts) {
    this.#host = host
    this.#endpoints = endpoints
    this.#now = now
  }

  /** `stored` is the user's record in force, if there is one. */
  async read(user: MqttUser, username: string, stored: UserRecord | undefined): Promise<UserPassword> {
    const { passwordVerifier, passwordSecretRef } = user.spec
    if (passwordVerifier !== undefined) {
      const verifier = verifierOfSpec(passwordVerifier)
      const message = 'spec.passwordVerifier lacks the salt or cost of algorithm scrypt'
      return verifier === undefined ? { refusal: notReady('SecretKeyMissing', message) } : { verifier }
    }
    const verifiers = stored?.verifiers.map(({ verifier }) => verifier) ?? []
    return passwordSecretRef === undefined
      ? await this.#generated(user, username, verifiers)
      : await this.#referenced(user, passwordSecretRef, username, verifiers)
  }

  forget(username: string): void {
    this.#verifiers.forget(username)
  }

  async #generated(user: MqttUser, username: string, stored: readonly Verifier[]): Promise<UserPassword> {
    const { namespace, name, uid } = user.metadata
    const wanted = {
      namespace,
      name: credentialsSecretName(user),
      type: 'kubernetes.io/basic-auth',
      owner: { kind: 'MqttUser', name, uid },
      labels: user.spec.credentialsSecret?.labels ?? {},
      annotations: user.spec.credentialsSecret?.annotations ?? {},
    } as const
    const { rotation } = user.spec
    const { secret, refusal } = await ensureSecret(this.#host, wanted, () => ({
      ...credentialsOf(username, generateSecret('mp'), this.#endpoints),
      // It may take the place of one that was deleted.
      ...(rotation === undefined ? {} : rotationData(beginRotation(rotation, stored[0], this.#now()))),
    }))
    if (refusal !== undefined) return { refusal }
    const read = await this.#verifierIn(secret, 'password', uid, username, stored)
    if (read.refusal !== undefined) return read
    const { current, problem } = await this.#rotate(user, secret, read.verifier)
    const isSame = current.version === secret.version
    const now = isSame ? read : await this.#verifierIn(current, 'password', uid, username, stored)
    if (now.refusal !== undefined) return now
    const state = this.#rotationOf(user, current)
    return {
      ...now,
      isGenerated: true,
      ...(state === undefined ? {} : { rotation: problem ? { ...state, againAfterMs: retryMs } : state }),
    }
  }

  /** Makes a new password where its time has come. Where that can not be written, the present one goes on. */
  async #rotate(
    user: MqttUser,
    secret: StoredSecret,
    verifier: Verifier,
  ): Promise<{ readonly current: StoredSecret; readonly problem: boolean }> {
    const { rotation } = user.spec
    const state = readRotation(secret.data)
    const now = this.#now()
    const mustBegin = rotation?.interval !== undefined && state === undefined
    const mustRotate = rotation !== undefined && state !== undefined && isDue(rotation, state, now)
    if (rotation === undefined || (!mustBegin && !mustRotate)) return { current: secret, problem: false }
    const next = mustRotate ? beginRotation(rotation, verifier, now) : { since: now }
    const password = mustRotate ? { password: generateSecret('mp') } : {}
    try {
      await this.#host.updateSecret(secret, { ...password, ...rotationData(next) })
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      const message = `the password could not be rotated, and stays: ${cause}`
      this.#host.event('MqttUser', user, { type: 'Warning', reason: 'RotationFailed', message })
      return { current: secret, problem: true }
    }
    if (mustRotate) {
      const ends = new Date(next.previous?.notAfter ?? now).toISOString()
      const message = `Secret ${secret.name} has a new password; the former one lets in until ${ends}`
      this.#host.event('MqttUser', user, { type: 'Normal', reason: 'PasswordRotated', message })
    }
    return { current: (await this.#host.readSecret(secret.namespace, secret.name)) ?? secret, problem: false }
  }

  #rotationOf({ spec }: MqttUser, { data }: StoredSecret): PasswordRotation | undefined {
    const state = readRotation(data)
    if (state === undefined) return undefined
    const now = this.#now()
    return {
      since: state.since,
      previous: stillValid(state, now),
      againAfterMs: nextLook(spec.rotation, state, now),
    }
  }

  async #referenced(
    { metadata }: MqttUser,
    ref: NonNullable<MqttUserSpec['passwordSecretRef']>,
    username: string,
    stored: readonly Verifier[],
  ): Promise<UserPassword> {
    const secret = await this.#host.readSecret(metadata.namespace, ref.name)
    if (secret === undefined) {
      const message = `there is no Secret ${ref.name} in namespace ${metadata.namespace}: make it, or leave passwordSecretRef out`
      return { refusal: notReady('SecretNotFound', message) }
    }
    return await this.#verifierIn(secret, ref.key ?? 'password', metadata.uid, username, stored)
  }

  async #verifierIn(
    secret: StoredSecret,
    key: string,
    uid: string,
    username: string,
    stored: readonly Verifier[],
  ): Promise<UserPassword> {
    const password = Object.hasOwn(secret.data, key) ? secret.data[key] : undefined
    if (password === undefined || password === '') {
      const message = `Secret ${secret.name} has no key ${key}, or nothing in it`
      return { refusal: notReady('SecretKeyMissing', message) }
    }
    const version = [uid, secret.name, key, secret.version].join(' ')
    const binding = { kind: 'user', name: username } as const
    return { verifier: await this.#verifiers.of(password, version, binding, stored), secret }
  }
}

/**
 * Verifiers of passwords that stand in Secrets. A chosen password costs tens of milliseconds, so the last
 * answer is kept per user and given again while the Secret's version is the same.
 */
class PasswordVerifiers {
  readonly #known = new Map<string, { readonly version: string; readonly verifier: Verifier }>()

  /**
   * `version` tells one content of a Secret from the next. A generated secret gives a digest, anything else scrypt. `stored` are the verifiers in force: one that fits
   * stays, because another salt would look like another password to whoever reads the record.
   */
  async of(
    password: string,
    version: string,
    binding: VerifierBinding,
    stored: readonly Verifier[],
  ): Promise<Verifier> {
    const known = this.#known.get(binding.name)
    if (known?.version === version) return known.verifier
    const verifier = await verifierOf(password, binding, stored)
    this.#known.set(binding.name, { version, verifier })
    return verifier
  }

  forget(username: string): void {
    this.#known.delete(username)
  }
}

async function verifierOf(
  password: string,
  binding: VerifierBinding,
  stored: readonly Verifier[],
): Promise<Verifier> {
  if (secretKindOf(password) === 'mp') return verifierOfGenerated(password, binding)
  for (const verifier of stored) {
    if (verifier.algorithm === 'scrypt' && (await verifySecret(password, verifier, binding))) return verifier
  }
  return await verifierOfChosen(password)
}

/** Undefined where the fields do not make one. */
function verifierOfSpec(given: NonNullable<MqttUserSpec['passwordVerifier']>): Verifier | undefined {
  const { algorithm, digest, salt, cost } = given
  if (algorithm === 'sha256') return { algorithm, digest }
  return salt === undefined || cost === undefined ? undefined : { algorithm, cost, salt, digest }
}
