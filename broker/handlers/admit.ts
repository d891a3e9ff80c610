import type { X509Certificate } from 'node:crypto'
import type { Verdict } from '#core/access/verdict.ts'
import { isTemporary, parseUsername, type Username } from '#core/credentials/username.ts'
import type { Admitted } from '../admission/admission.ts'
import type { Claim } from '../admission/admissions.ts'
import type { Connection } from '../connection/connection.ts'
import { isOriginAllowed } from '../listeners/origin.ts'
import type { ConnectPacket } from '../wire/packets.ts'
import type { Attempt } from './connect-attempt.ts'
import { type ConnectRefusal, isFailedGuess } from './connect-refusal.ts'

/** What a client shows instead of a password: beside one it does not count. */
export function certificateOf(
  { transport }: Connection,
  { password }: ConnectPacket,
): X509Certificate | undefined {
  return password === undefined ? transport.certificate : undefined
}

/** Who the client says to be, itself or by its certificate. */
export function usernameOf(
  { options }: Connection,
  { username }: ConnectPacket,
  certificate: X509Certificate | undefined,
): string {
  if (username !== undefined || certificate === undefined) return username ?? ''
  return options.authorities.usernameOf(certificate) ?? ''
}

/** Lets the client in by its username and password, or its certificate, or says why not: nothing is read or hashed for one who tried too often. */
export function admit(attempt: Attempt): Promise<ConnectRefusal | void> | ConnectRefusal | void {
  const { connection, username } = attempt
  const { throttle, admissions } = connection.options
  const { remoteAddress } = connection.transport
  const name = parseUsername(username)
  const throttled = throttle.refuses(name && username, remoteAddress)
  if (throttled !== undefined) return throttled
  if (name !== undefined) {
    const type = isTemporary(name.local) ? 'credential' : 'user'
    connection.dependsOn({ organization: name.organization, type, name: name.local })
  }
  const admitted = admissions.admit(claimOf(attempt))
  return admitted instanceof Promise
    ? admitted.then((later) => letInOrCount(attempt, later, name))
    : letInOrCount(attempt, admitted, name)
}

function letInOrCount(
  attempt: Attempt,
  admitted: Admitted,
  name: Username | undefined,
): ConnectRefusal | void {
  const { connection, username } = attempt
  const { throttle } = connection.options
  const { remoteAddress } = connection.transport
  const refusal = letIn(attempt, admitted)
  if (refusal === undefined) throttle.succeeded(username, remoteAddress)
  else if (isFailedGuess(refusal))
    throttle.failed(name && username, remoteAddress, refusal !== 'unknown-organization')
  return refusal
}

/** As admit, when the records are not those any more that the client was let in by. */
export async function admitAgain(attempt: Attempt): Promise<ConnectRefusal | void> {
  const admitted = await attempt.connection.options.admissions.admitAgain(claimOf(attempt))
  return letIn(attempt, admitted) ?? refuseOrigin(attempt) ?? refuseWill(attempt)
}

/** Refuses where the client comes from, or a will that could never be published: by the records of now. */
export function judge(attempt: Attempt): Promise<ConnectRefusal | void> | void {
  return isOriginRight(attempt) && willVerdict(attempt)?.allowed !== false ? undefined : admitAgain(attempt)
}

function claimOf({ packet, username, clientId, certificate }: Attempt): Claim {
  return { username, password: packet.password?.toString() ?? '', clientId, certificate }
}

function letIn(attempt: Attempt, admitted: Admitted): ConnectRefusal | void {
  if ('refusal' in admitted) {
    attempt.cause = admitted.cause
    return admitted.refusal
  }
  attempt.admission = admitted.admission
  attempt.basis = admitted.basis
}

function isOriginRight({ connection, admission }: Attempt): boolean {
  return admission === undefined || isOriginAllowed(connection.transport, admission.organization)
}

function refuseOrigin(attempt: Attempt): ConnectRefusal | void {
  if (!isOriginRight(attempt)) return 'origin-not-allowed'
}

function willVerdict({ admission, will }: Attempt): Verdict | undefined {
  return will && admission?.access.publish(will.topic, will.qos, will.retain)
}

function refuseWill(attempt: Attempt): ConnectRefusal | void {
  const { connection, admission, clientId, will } = attempt
  const verdict = willVerdict(attempt)
  if (admission === undefined || will === undefined || verdict === undefined || verdict.allowed) return
  const client = { admission, clientId }
  connection.options.denials.report(connection, client, { action: 'publish', topic: will.topic, verdict })
  return 'will-not-allowed'
}
