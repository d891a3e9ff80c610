import type { ClientRefusal } from '#core/audit/audit-event.ts'
import type { Limits } from '../limits.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'

/** Why a CONNECT is refused. */
export type ConnectRefusal = Exclude<ClientRefusal, EarlyEnd>

/** What a connection may end by before there was a CONNECT: it is told nothing. */
export type EarlyEnd = 'malformed-packet' | 'protocol-error' | 'packet-too-large' | 'connect-timeout'

/** What the client is told: one answer for everything that is wrong with a name or a password. */
export const refusalCodes: Readonly<Record<ConnectRefusal, ReasonCode>> = {
  'malformed-username': reason.badUserNameOrPassword,
  'unknown-organization': reason.badUserNameOrPassword,
  'unknown-user': reason.badUserNameOrPassword,
  'unknown-credential': reason.badUserNameOrPassword,
  'wrong-password': reason.badUserNameOrPassword,
  'wrong-certificate': reason.badUserNameOrPassword,
  'credential-expired': reason.badUserNameOrPassword,
  'organization-suspended': reason.notAuthorized,
  'user-suspended': reason.notAuthorized,
  'wrong-client-id': reason.clientIdentifierNotValid,
  'malformed-client-id': reason.clientIdentifierNotValid,
  'authentication-method': reason.badAuthenticationMethod,
  'origin-not-allowed': reason.notAuthorized,
  'will-not-allowed': reason.notAuthorized,
  'malformed-will': reason.topicNameInvalid,
  'organization-full': reason.quotaExceeded,
  'principal-full': reason.quotaExceeded,
  'throttled-name': reason.connectionRateExceeded,
  'throttled-address': reason.connectionRateExceeded,
  busy: reason.serverBusy,
  unavailable: reason.serverUnavailable,
}

const wrongName = reason.badUserNameOrPassword
const tooMany: ReadonlySet<ReasonCode> = new Set([reason.connectionRateExceeded, reason.serverBusy])

/** Somebody who guesses: it counts against the name and the address. */
export const isFailedGuess = (refusal: ConnectRefusal): boolean => refusalCodes[refusal] === wrongName

/**
 * How long after its CONNECT a client is told: of a wrong name or password always the same, so that nobody learns from
 * the time it takes which of them it was; one too many a little later, so that it does not try again at once.
 */
export function answerAfterMs(refusal: ConnectRefusal, limits: Limits): number {
  const code = refusalCodes[refusal]
  if (code === wrongName) return limits.refusalMs
  return tooMany.has(code) ? limits.throttledMs : 0
}
