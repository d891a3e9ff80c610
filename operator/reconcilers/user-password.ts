import type { Clock } from '#core/clock.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import type { Verifier } from '#core/credentials/verifier.ts'
import type { MqttUser, MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { credentialsOf, type Endpoints } from './endpoints.ts'
import { givenPassword } from './given-password.ts'
import { ensureSecret } from './generated-secret.ts'
import type { ResourceHost, StoredSecret } from './host.ts'
import {
  type InForce,
  type KnownPassword,
  KnownPasswords,
  type PasswordPlace,
  type SecretVersion,
} from './known-passwords.ts'
import { passwordFingerprint } from './password-fingerprint.ts'
import {
  beginRotation,
  type PasswordRotation,
  readRotation,
  rotationAt,
  rotationData,
  rotationStep,
  type RotationState,
} from './password-rotation.ts'
import type { Readiness } from './readiness.ts'
import { addressOf } from './references.ts'
import { credentialsSecretName } from './secret-names.ts'
import { secretMissing, valueIn } from './secret-value.ts'

/** How a user proves who it is, or why it can not. `isGenerated`: the Secret is one that was made for it. */
export type UserPassword =
  | {
      readonly refusal?: undefined
      readonly verifier: Verifier
      readonly secret?: SecretVersion
      readonly isGenerated?: boolean
      readonly rotation?: PasswordRotation
    }
  | {
      readonly refusal: Readiness
      readonly secret?: undefined
      readonly isGenerated?: undefined
      readonly rotation?: undefined
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
  readonly #known = new KnownPasswords()

  constructor({ host, endpoints, now }: PasswordReaderParts) {
    this.#host = host
    this.#endpoints = endpoints
    this.#now = now
  }

  async read(user: MqttUser, username: string, inForce: InForce): Promise<UserPassword> {
    const { passwordVerifier, passwordSecretRef } = user.spec
    if (passwordVerifier !== undefined) return givenPassword(user.spec, passwordVerifier, this.#now())
    return passwordSecretRef === undefined
      ? await this.#generated(user, username, inForce)
      : await this.#referenced(user, passwordSecretRef, username, inForce)
  }

  forget(username: string): void {
    this.#known.forget(username)
  }

  async #generated(user: MqttUser, username: string, inForce: InForce): Promise<UserPassword> {
    const { namespace, name, uid } = user.metadata
    const { rotation } = user.spec
    const place = { uid, username, key: 'password' }
    const secretName = credentialsSecretName(user)
    const remembered = await this.#recall(user, place, secretName, inForce)
    if (remembered !== undefined && rotationStep(rotation, remembered.rotation, this.#now()) === undefined) {
      return this.#generatedFrom(user, remembered)
    }
    const wanted = {
      namespace,
      name: secretName,
      type: 'kubernetes.io/basic-auth',
      owner: { kind: 'MqttUser', name, uid },
      labels: user.spec.credentialsSecret?.labels ?? {},
      annotations: user.spec.credentialsSecret?.annotations ?? {},
    } as const
    const { secret, refusal } = await ensureSecret(this.#host, wanted, async () => ({
      ...credentialsOf(username, generateSecret('mp'), this.#endpoints),
      ...(rotation === undefined ? {} : await this.#firstRotation(rotation, inForce)),
    }))
    if (refusal !== undefined) return { refusal }
    const read = await this.#learn(secret, place, inForce)
    if (read.refusal !== undefined) return read
    const { current, problem } = await this.#rotate(user, secret, read)
    const now = current.version === secret.version ? read : await this.#learn(current, place, inForce)
    if (now.refusal !== undefined) return now
    const password = this.#generatedFrom(user, now)
    const state = password.rotation
    return problem && state !== undefined
      ? { ...password, rotation: { ...state, againAfterMs: retryMs } }
      : password
  }

  #generatedFrom(
    { spec }: MqttUser,
    { verifier, secret, rotation: state }: KnownPassword,
  ): Extract<UserPassword, { refusal?: undefined }> {
    const password = { verifier, secret, isGenerated: true }
    if (state === undefined) return password
    return { ...password, rotation: rotationAt(spec.rotation, state, this.#now()) }
  }

  /** The Secret may take the place of one that was deleted. */
  async #firstRotation(
    rotation: NonNullable<MqttUserSpec['rotation']>,
    inForce: InForce,
  ): Promise<Readonly<Record<string, string>>> {
    const former = (await inForce())?.verifiers[0]?.verifier
    return rotationData(beginRotation(rotation, former, this.#now()))
  }

  /** Makes a new password where its time has come. Where that can not be written, the present one goes on. */
  async #rotate(
    user: MqttUser,
    secret: StoredSecret,
    { verifier, rotation: state }: KnownPassword,
  ): Promise<{ readonly current: StoredSecret; readonly problem: boolean }> {
    const { rotation } = user.spec
    const now = this.#now()
    const step = rotationStep(rotation, state, now)
    if (rotation === undefined || step === undefined) return { current: secret, problem: false }
    const mustRotate = step === 'rotate'
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
    const changed = await this.#host.readSecret(secret.namespace, secret.name, addressOf('MqttUser', user))
    return { current: changed ?? secret, problem: false }
  }

  async #referenced(
    user: MqttUser,
    { name, key = 'password' }: NonNullable<MqttUserSpec['passwordSecretRef']>,
    username: string,
    inForce: InForce,
  ): Promise<UserPassword> {
    const { namespace, uid } = user.metadata
    const place = { uid, username, key }
    const remembered = await this.#recall(user, place, name, inForce)
    if (remembered !== undefined) return { verifier: remembered.verifier, secret: remembered.secret }
    const secret = await this.#host.readSecret(namespace, name, addressOf('MqttUser', user))
    if (secret === undefined) return { refusal: secretMissing(namespace, name, 'passwordSecretRef') }
    const read = await this.#learn(secret, place, inForce)
    return read.refusal === undefined ? { verifier: read.verifier, secret: read.secret } : read
  }

  /** What is known of the Secret, unless the host has seen another content of it since. */
  async #recall(
    user: MqttUser,
    place: PasswordPlace,
    name: string,
    inForce: InForce,
  ): Promise<KnownPassword | undefined> {
    const version = this.#host.secretVersion(user.metadata.namespace, name)
    if (version === undefined) return undefined
    const secret = { name, version }
    return this.#known.recall(place, secret) ?? (await this.#resume(user, place, secret, inForce))
  }

  /** After a start: the record, where the status says that it was made of this version, and what stands in it. */
  async #resume(
    { metadata, status }: MqttUser,
    place: PasswordPlace,
    secret: SecretVersion,
    inForce: InForce,
  ): Promise<KnownPassword | undefined> {
    const { secretResourceVersion, observedGeneration, lastRotationTime } = status ?? {}
    if (secretResourceVersion !== secret.version || observedGeneration !== metadata.generation)
      return undefined
    const { verifiers = [] } = (await inForce()) ?? {}
    const [present, former] = verifiers
    const since = lastRotationTime === undefined ? undefined : Date.parse(lastRotationTime)
    if (present === undefined || status?.passwordFingerprint !== passwordFingerprint(verifiers, since)) {
      return undefined
    }
    const rotation = since === undefined ? undefined : { since, ...formerOf(former) }
    return this.#known.keep(place, { secret, verifier: present.verifier, rotation })
  }

  async #learn(
    secret: StoredSecret,
    place: PasswordPlace,
    inForce: InForce,
  ): Promise<(KnownPassword & { readonly refusal?: undefined }) | { readonly refusal: Readiness }> {
    const { text, refusal } = valueIn(secret, place.key)
    if (refusal !== undefined) return { refusal }
    return await this.#known.learn(place, secret, text, readRotation(secret.data), inForce)
  }
}

function formerOf(former: UserRecord['verifiers'][number] | undefined): Pick<RotationState, 'previous'> {
  const { verifier, notAfter } = former ?? {}
  return verifier === undefined || notAfter === undefined ? {} : { previous: { verifier, notAfter } }
}
