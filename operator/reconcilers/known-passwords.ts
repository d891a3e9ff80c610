import { secretKindOf } from '#core/credentials/secret.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import {
  type Verifier,
  type VerifierBinding,
  verifierOfChosen,
  verifierOfGenerated,
  verifySecret,
} from '#core/credentials/verifier.ts'
import type { RotationState } from './password-rotation.ts'

/** What is known of a password that stands in a Secret; never the password. */
export interface KnownPassword {
  readonly secret: SecretVersion
  readonly verifier: Verifier
  readonly rotation: RotationState | undefined
}

/** One content of a Secret. */
export interface SecretVersion {
  readonly name: string
  readonly version: string
}

/** Whose password it is, and under which key of the Secret it stands. */
export interface PasswordPlace {
  readonly uid: string
  readonly username: string
  readonly key: string
}

/** The record in force, which is asked for only where it matters. */
export type InForce = () => Promise<UserRecord | undefined>

/**
 * Passwords as they were read last, by user: while a Secret is the same there is no need to read it again, so that
 * all records can be written anew without asking for ten thousand of them, and a chosen password, which costs tens
 * of milliseconds, is computed once.
 */
export class KnownPasswords {
  readonly #known = new Map<string, KnownPassword & Pick<PasswordPlace, 'uid' | 'key'>>()

  /** Undefined unless this very content is known. */
  recall({ uid, username, key }: PasswordPlace, { name, version }: SecretVersion): KnownPassword | undefined {
    const known = this.#known.get(username)
    const isSame =
      known?.uid === uid &&
      known.key === key &&
      known.secret.name === name &&
      known.secret.version === version
    return isSame ? known : undefined
  }

  async learn(
    { uid, username, key }: PasswordPlace,
    { name, version }: SecretVersion,
    password: string,
    rotation: RotationState | undefined,
    inForce: InForce,
  ): Promise<KnownPassword> {
    const secret = { name, version }
    const known = this.recall({ uid, username, key }, secret)
    if (known !== undefined) return known
    const verifier = await verifierOf(password, { kind: 'user', name: username }, inForce)
    return this.keep({ uid, username, key }, { secret, verifier, rotation })
  }

  keep({ uid, username, key }: PasswordPlace, password: KnownPassword): KnownPassword {
    this.#known.set(username, { uid, key, ...password })
    return password
  }

  forget(username: string): void {
    this.#known.delete(username)
  }
}

/** A chosen one that fits what is in force keeps its verifier: another salt would look like another password. */
async function verifierOf(password: string, binding: VerifierBinding, inForce: InForce): Promise<Verifier> {
  if (secretKindOf(password) === 'mp') return verifierOfGenerated(password, binding)
  for (const { verifier } of (await inForce())?.verifiers ?? []) {
    if (verifier.algorithm === 'scrypt' && (await verifySecret(password, verifier, binding))) return verifier
  }
  return await verifierOfChosen(password)
}
