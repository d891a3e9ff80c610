import type { Verdict } from '#core/access/verdict.ts'
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
  return letIn(attempt, admitted) ?? refuseOrigin(attempt) ?? refuseWill(attempt)
}

/** Refuses where the client comes from, or a will that could never be published: by the records of now. */
export function judge(attempt: Attempt): Promise<ReasonCode | void> | void {
  return isOriginRight(attempt) && willVerdict(attempt)?.allowed !== false ? undefined : admitAgain(attempt)
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

function isOriginRight({ connection, admission }: Attempt): boolean {
  return admission === undefined || isOriginAllowed(connection.transport, admission.organization)
}

function refuseOrigin(attempt: Attempt): ReasonCode | void {
  if (isOriginRight(attempt)) return
  attempt.connection.options.metrics.refused('origin')
  return reason.notAuthorized
}

function willVerdict({ admission, will }: Attempt): Verdict | undefined {
  return will && admission?.access.publish(will.topic, will.qos, will.retain)
}

function refuseWill(attempt: Attempt): ReasonCode | void {
  const { connection, admission, clientId, will } = attempt
  const verdict = willVerdict(attempt)
  if (admission === undefined || will === undefined || verdict === undefined || verdict.allowed) return
  connection.options.denials.report({ admission, clientId, action: 'publish', topic: will.topic, verdict })
  connection.options.metrics.refused('will')
  return reason.notAuthorized
}
