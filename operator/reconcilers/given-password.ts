import type { Verifier } from '#core/credentials/verifier.ts'
import type { MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { rotationAt } from './password-rotation.ts'
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
  const { algorithm, digest } = former
  const [since, notAfter] = [Date.parse(former.rotatedAt), Date.parse(former.notAfter)]
  // A pattern lets some times pass that there are not; what has no end has no overlap.
  if (Number.isNaN(since + notAfter)) return { verifier }
  const state = { since, previous: { verifier: { algorithm, digest }, notAfter } }
  return { verifier, rotation: rotationAt(undefined, state, now) }
}

/** Undefined where the fields do not make one. */
function verifierOf(given: NonNullable<MqttUserSpec['passwordVerifier']>): Verifier | undefined {
  const { algorithm, digest, salt, cost } = given
  if (algorithm === 'sha256') return { algorithm, digest }
  return salt === undefined || cost === undefined ? undefined : { algorithm, cost, salt, digest }
}
