import type { Verifier } from '#core/credentials/verifier.ts'
import type { MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { nextLook, type RotationState, stillValid } from './password-rotation.ts'
import { notReady } from './readiness.ts'
import type { UserPassword } from './user-password.ts'

/** The password of a user whose spec has the verifier, as the Users API writes it. */
export function givenPassword(
  { formerPasswordVerifier: former }: MqttUserSpec,
  given: NonNullable<MqttUserSpec['passwordVerifier']>,
  now: number,
): UserPassword {
  const verifier = verifierOf(given)
  if (verifier === undefined) {
    return {
      refusal: notReady(
        'SecretKeyMissing',
        'spec.passwordVerifier lacks the salt or cost of algorithm scrypt',
      ),
    }
  }
  if (former === undefined) return { verifier }
  const { algorithm, digest, rotatedAt, notAfter } = former
  const state: RotationState = {
    since: Date.parse(rotatedAt),
    previous: { verifier: { algorithm, digest }, notAfter: Date.parse(notAfter) },
  }
  // A pattern lets some times pass that there are not; what has no end has no overlap.
  if (Number.isNaN(state.since + Date.parse(notAfter))) return { verifier }
  const rotation = {
    since: state.since,
    previous: stillValid(state, now),
    againAfterMs: nextLook(undefined, state, now),
  }
  return { verifier, rotation }
}

/** Undefined where the fields do not make one. */
function verifierOf(given: NonNullable<MqttUserSpec['passwordVerifier']>): Verifier | undefined {
  const { algorithm, digest, salt, cost } = given
  if (algorithm === 'sha256') return { algorithm, digest }
  return salt === undefined || cost === undefined ? undefined : { algorithm, cost, salt, digest }
}
