import { isTemporary, parseUsername } from '#core/credentials/username.ts'
import { errorFields } from '#core/process/logger.ts'
import type { Admitted, Refusal } from '../admission/admission.ts'
import type { Claim } from '../admission/admissions.ts'
import { isOriginAllowed } from '../listeners/origin.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'
import type { Attempt } from './connect-attempt.ts'

/** Lets the client in by its username and password, or says why not. */
export async function admit(attempt: Attempt): Promise<ReasonCode | void> {
  const { connection, packet } = attempt
  const name = parseUsername(packet.username ?? '')
  if (name !== undefined) {
    const type = isTemporary(name.local) ? 'credential' : 'user'
    connection.dependsOn({ organization: name.organization, type, name: name.local })
  }
  return letIn(attempt, await connection.options.admissions.admit(claimOf(attempt)))
}

/** As admit, when the records are not those any more that the client was let in by. */
export async function admitAgain(attempt: Attempt): Promise<ReasonCode | void> {
  const admitted = await attempt.connection.options.admissions.admitAgain(claimOf(attempt))
  return letIn(attempt, admitted) ?? judgeOrigin(attempt) ?? judgeWill(attempt)
}

function claimOf({ packet, clientId }: Attempt): Claim {
  return { username: packet.username ?? '', password: packet.password?.toString() ?? '', clientId }
}

function letIn(attempt: Attempt, admitted: Admitted): ReasonCode | void {
  if ('admission' in admitted) {
    attempt.admission = admitted.admission
    attempt.basis = admitted.basis
    return
  }
  const { refusal, cause } = admitted
  const { connection, clientId } = attempt
  const { log, metrics } = connection.options
  metrics.refused(refusal)
  const fields = {
    username: claimOf(attempt).username.slice(0, 128),
    clientId,
    remote: connection.transport.remoteAddress,
    refusal,
  }
  log.info(cause === undefined ? fields : { ...fields, ...errorFields(cause) }, 'a client was refused')
  return refusalCodes[refusal]
}

const refusalCodes: Readonly<Record<Refusal, ReasonCode>> = {
  'bad-credentials': reason.badUserNameOrPassword,
  suspended: reason.notAuthorized,
  'client-id': reason.clientIdentifierNotValid,
  unavailable: reason.serverUnavailable,
}

export function judgeOrigin({ connection, admission }: Attempt): ReasonCode | void {
  if (admission === undefined || isOriginAllowed(connection.transport, admission.organization)) return
  connection.options.metrics.refused('origin')
  return reason.notAuthorized
}

/** A will that could never be published is better refused now. */
export function judgeWill({ connection, admission, clientId, will }: Attempt): ReasonCode | void {
  if (will === undefined || admission === undefined) return
  const { topic } = will
  const verdict = admission.access.publish(topic, will.qos, will.retain)
  if (verdict.allowed) return
  connection.options.denials.report({ admission, clientId, action: 'publish', topic, verdict })
  connection.options.metrics.refused('will')
  return reason.notAuthorized
}
