import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { Clock } from '#core/clock.ts'

export const issuerUrl = 'https://clerk.check.invalid'

/** Signs identity tokens as Clerk does: of that kind of issuer the public key can be given, so that nobody is asked. */
export class IdentityIssuer {
  readonly publicKey: string
  readonly #privateKey
  readonly #now: Clock

  constructor(now: Clock) {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.publicKey = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    this.#privateKey = privateKey
    this.#now = now
  }

  token(subject: string): string {
    const issued = Math.floor(this.#now() / 1000)
    const parts = [
      { alg: 'RS256', typ: 'JWT', kid: 'check' },
      {
        iss: issuerUrl,
        sub: subject,
        sid: `sess_${randomUUID()}`,
        iat: issued,
        nbf: issued - 5,
        exp: issued + 60,
      },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    const text = parts.join('.')
    return `${text}.${sign('sha256', Buffer.from(text), this.#privateKey).toString('base64url')}`
  }
}
