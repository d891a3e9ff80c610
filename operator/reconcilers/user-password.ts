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
import { notReady, type Readiness } from './readiness.ts'
import { credentialsSecretName } from './secret-names.ts'

/** How a user proves who it is, or why it can not. `isGenerated`: the Secret is one that was made for it. */
export type UserPassword =
  | {
      readonly refusal?: undefined
      readonly verifier: Verifier
      readonly secret?: StoredSecret
      readonly isGenerated?: boolean
    }
  | { readonly refusal: Readiness; readonly secret?: undefined; readonly isGenerated?: undefined }

/** Where a user's password comes from: a verifier in the spec, a Secret of one's own, or one that is generated. */
export class PasswordReader {
  readonly #host: ResourceHost
  readonly #endpoints: Endpoints
  readonly #verifiers = new PasswordVerifiers()

  constructor(host: ResourceHost, endpoints: Endpoints) {
    this.#host = host
    this.#endpoints = endpoints
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
    const { secret, refusal } = await ensureSecret(this.#host, wanted, () =>
      credentialsOf(username, generateSecret('mp'), this.#endpoints),
    )
    if (refusal !== undefined) return { refusal }
    const read = await this.#verifierIn(secret, 'password', uid, username, stored)
    return read.refusal === undefined ? { ...read, isGenerated: true } : read
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
