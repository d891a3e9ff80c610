import { hash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { Type, type Static } from 'typebox'

/**
 * What is kept of a secret instead of the secret.
 *
 * - `sha256`: for secrets of 256 random bits, where there is nothing to guess. The digest is bound to the
 *   kind of credential and to the username, so that a verifier copied to another user is worth nothing.
 * - `scrypt`: for passwords a person chose.
 */
export const VerifierSchema = Type.Union([
  Type.Object({ algorithm: Type.Literal('sha256'), digest: Type.String() }),
  Type.Object({
    algorithm: Type.Literal('scrypt'),
    cost: Type.Integer({ minimum: 2 }),
    salt: Type.String(),
    digest: Type.String(),
  }),
])
export type Verifier = Static<typeof VerifierSchema>
export type GeneratedVerifier = Extract<Verifier, { algorithm: 'sha256' }>

/** What a digest is bound to: the kind of credential and who may use it. */
export interface VerifierBinding {
  readonly kind: 'user' | 'temporary' | 'api-key'
  /** `local@org_…`; of an API key `<name>@org_…`. */
  readonly name: string
}

const scryptCost = 16_384
/** 128 MiB of memory. */
export const mostScryptCost = 131_072
const digestBytes = 32

/** For a generated secret. Deterministic: the same secret gives the same verifier. */
export function verifierOfGenerated(secret: string, binding: VerifierBinding): Verifier {
  return { algorithm: 'sha256', digest: digestOf(secret, binding).toString('base64url') }
}

/** For a password a person chose. Takes tens of milliseconds of a thread, not of the event loop. */
export async function verifierOfChosen(password: string, salt: Buffer = randomBytes(16)): Promise<Verifier> {
  const digest = await scryptDigest(password, salt, scryptCost)
  return {
    algorithm: 'scrypt',
    cost: scryptCost,
    salt: salt.toString('base64url'),
    digest: digest.toString('base64url'),
  }
}

/** Compares in constant time. Never throws on a damaged verifier: it answers false. */
export async function verifySecret(
  secret: string,
  verifier: Verifier,
  binding: VerifierBinding,
): Promise<boolean> {
  if (verifier.algorithm === 'sha256') return verifyGenerated(secret, verifier, binding)
  if (!isScryptCost(verifier.cost)) return false
  const salt = Buffer.from(verifier.salt, 'base64url')
  return isDigest(verifier, await scryptDigest(secret, salt, verifier.cost))
}

/** The same where there is nothing to wait for. */
export function verifyGenerated(
  secret: string,
  verifier: GeneratedVerifier,
  binding: VerifierBinding,
): boolean {
  return isDigest(verifier, digestOf(secret, binding))
}

function isDigest({ digest }: Verifier, actual: Buffer): boolean {
  const expected = Buffer.from(digest, 'base64url')
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}

/** What an unknown username is compared with, so that it takes as long as a known one. Nothing verifies against it. */
export const dummyVerifier: Verifier = {
  algorithm: 'sha256',
  digest: randomBytes(digestBytes).toString('base64url'),
}

/** Others are refused by scrypt itself, or take too much memory. */
export function isScryptCost(cost: number): boolean {
  return cost >= 2 && cost <= mostScryptCost && Number.isInteger(Math.log2(cost))
}

function digestOf(secret: string, binding: VerifierBinding): Buffer {
  return hash('sha256', `${binding.kind}\0${binding.name}\0${secret}`, 'buffer')
}

function scryptDigest(password: string, salt: Buffer, cost: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, digestBytes, { N: cost, maxmem: 256 * cost * 8 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}
