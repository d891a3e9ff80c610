import { hash } from 'node:crypto'
import type { UserRecord } from '#core/credentials/user-record.ts'

/**
 * Of all that a record says of a user's passwords, and since when there is the present one. It stands in the status: what
 * Redis says is believed only where it says the same, so that nobody who writes there can bring in a password.
 */
export function passwordFingerprint(verifiers: UserRecord['verifiers'], since: number | undefined): string {
  const parts = verifiers.map(({ verifier, notAfter }) => {
    const { algorithm, digest } = verifier
    return algorithm === 'sha256'
      ? [algorithm, digest, notAfter]
      : [algorithm, digest, verifier.salt, verifier.cost, notAfter]
  })
  return hash('sha256', JSON.stringify([since, ...parts]), 'base64url')
}
