import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { isTopicName, levelsOf } from '#core/access/topic-filter.ts'
import { errorFields } from '#core/process/logger.ts'
import { reportLogin, reportRefusal } from '../audit/report-connect.ts'
import type { Admission } from '../admission/admission.ts'
import type { OrganizationAedes } from '../aedes/organization-aedes.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { ConnectPacket } from '../wire/packets.ts'
import { connackReturnCode, reason } from '../wire/reason-codes.ts'
import { admit, admitAgain, certificateOf, judge, usernameOf } from './admit.ts'
import type { Attempt, Step } from './connect-attempt.ts'
import { answerAfterMs, type ConnectRefusal, refusalCodes } from './connect-refusal.ts'
import { createSession } from './create-session.ts'
import { resumeSession } from './resume-session.ts'
import { storedWill, takeOver } from './take-over.ts'

const longestClientId = 256
/** Looks at the records, for one connection. */
const mostTries = 4

/** In the order in which they may depend on each other; nothing is read from a store before `admit`. */
const connectSteps: readonly Step[] = [
  refuseWhileStale,
  refuseExtendedAuthentication,
  nameClient,
  readWill,
  admit,
  judge,
  openSession,
  claim,
  resume,
  lookAgain,
  acknowledge,
  reportLogin,
  subscribeAgain,
  replay,
]

/** The first packet of a connection. */
export async function handleConnect(connection: Connection, packet: ConnectPacket): Promise<void> {
  const began = performance.now()
  const certificate = certificateOf(connection, packet)
  const attempt: Attempt = {
    connection,
    packet,
    username: usernameOf(connection, packet, certificate),
    certificate,
    clientId: packet.clientId,
    basis: [],
    sessionPresent: false,
  }
  for (const step of connectSteps) {
    const result = attemptStep(step, attempt)
    // Most steps have nothing to wait for, and waiting for nothing costs as much as some of them.
    const refusal = result instanceof Promise ? await result : result
    if (connection.closed) return leaveNothing(attempt)
    if (refusal !== undefined) return refuse(attempt, refusal)
  }
  connection.options.metrics.connectTook((performance.now() - began) / 1_000)
  tellFormerPassword(attempt)
  const looking = connection.opened()
  // Nothing of the client is handled before.
  if (looking !== undefined) await looking
}

function tellFormerPassword({ connection, session, clientId }: Attempt): void {
  const admission = session?.admission
  if (admission?.expiresAt === undefined || admission.source.type !== 'user') return
  if ('certificate' in admission.proof) return
  connection.options.formerPasswords.used(admission, clientId)
}

function attemptStep(step: Step, attempt: Attempt): ReturnType<Step> {
  try {
    const result = step(attempt)
    return result instanceof Promise ? result.catch((error) => failed(step, attempt, error)) : result
  } catch (error) {
    return failed(step, attempt, error)
  }
}

function failed(step: Step, attempt: Attempt, error: unknown): ConnectRefusal {
  const { connection, clientId } = attempt
  attempt.cause = error
  connection.options.log.warn(
    { step: step.name, clientId, ...errorFields(error) },
    'a CONNECT could not be served',
  )
  return 'unavailable'
}

/** It may have ended while it was being registered. */
function leaveNothing({ connection, session }: Attempt): void {
  session?.broker.unregister(connection)
}

async function refuse(attempt: Attempt, refusal: ConnectRefusal): Promise<void> {
  const { connection } = attempt
  reportRefusal(attempt, refusal)
  const waitMs =
    answerAfterMs(refusal, connection.options.limits) - (performance.now() - connection.lastReceived)
  if (waitMs > 0) await pause(waitMs, undefined, { ref: false })
  if (connection.closed) return
  const code = refusalCodes[refusal]
  const answer = connection.version === 5 ? { reasonCode: code } : { returnCode: connackReturnCode(code) }
  connection.send({ cmd: 'connack', sessionPresent: false, ...answer })
  await connection.end('refused')
}

/** Who was revoked is not known here. */
function refuseWhileStale({ connection }: Attempt): ConnectRefusal | void {
  if (connection.options.watch.isStale) return 'unavailable'
}

function refuseExtendedAuthentication({ packet }: Attempt): ConnectRefusal | void {
  if (packet.properties?.authenticationMethod !== undefined) return 'authentication-method'
}

/** [MQTT-3.1.3-6] to [MQTT-3.1.3-8] */
function nameClient(attempt: Attempt): ConnectRefusal | void {
  const { packet, clientId } = attempt
  if (clientId.length > longestClientId) return 'malformed-client-id'
  if (clientId !== '') return
  // 3.1 knows no empty one.
  if (packet.protocolVersion === 3 || (packet.protocolVersion === 4 && !packet.clean)) {
    return 'malformed-client-id'
  }
  attempt.clientId = `auto-${randomUUID()}`
}

function readWill(attempt: Attempt): ConnectRefusal | void {
  const { will } = attempt.packet
  if (will === undefined) return
  const { limits } = attempt.connection.options
  if (!isTopicName(will.topic)) return 'malformed-will'
  if (levelsOf(will.topic) > limits.maxTopicLevels) return 'malformed-will'
  const { topic, payload, qos, retain, propertyBytes } = will
  attempt.will = {
    topic,
    // Kept for long: a view would keep everything alive that was read with it.
    payload: Buffer.from(payload),
    qos,
    retain,
    ...(propertyBytes.length === 0 ? {} : { properties: propertyBytes }),
  }
}

function openSession(attempt: Attempt): Promise<void> | void {
  const { organizationId } = attempt.admission as Admission
  const broker = attempt.connection.options.organizations.acquire(organizationId)
  return broker instanceof Promise
    ? broker.then((later) => openSessionOn(attempt, later))
    : openSessionOn(attempt, broker)
}

function openSessionOn(attempt: Attempt, broker: OrganizationAedes): void {
  const { connection, packet, clientId } = attempt
  const admission = attempt.admission as Admission
  if (connection.closed) return connection.options.organizations.release(admission.organizationId)
  const { maximumPacketSize = Infinity, topicAliasMaximum = 0 } = packet.properties ?? {}
  connection.accepts(maximumPacketSize, topicAliasMaximum)
  attempt.session = createSession(attempt, admission, broker, clientId)
  connection.open(attempt.session, serverKeepAlive(attempt) ?? packet.keepalive)
}

async function claim(attempt: Attempt): Promise<ConnectRefusal | void> {
  for (let tries = 0; tries < mostTries; tries += 1) {
    const { connection, packet, clientId, admission, session, basis, will } = attempt
    if (session === undefined || admission === undefined || connection.closed) return
    const { expirySeconds } = session
    const kept = will && storedWill(will, admission, { packet, clientId, expirySeconds })
    const problem = await takeOver(connection, session, basis, packet.clean === true, kept)
    if (problem === undefined) return
    if (problem !== 'records-changed') return problem
    const refusal = await judgeNow(attempt, session)
    if (refusal !== undefined) return refusal
  }
  // Whoever changes records that fast may be met in another moment.
  return 'unavailable'
}

/** The records are not those any more that the client was let in by. */
async function judgeNow(attempt: Attempt, former: Session): Promise<ConnectRefusal | void> {
  const { connection, clientId } = attempt
  const refusal = await admitAgain(attempt)
  if (refusal !== undefined) return refusal
  attempt.session = createSession(attempt, attempt.admission as Admission, former.broker, clientId)
  connection.session = attempt.session
  connection.armExpiry()
}

function resume(attempt: Attempt): Promise<void> | void {
  const { connection, packet, session } = attempt
  return resumeSession(connection, session as Session, packet.clean === true)?.then((isPresent) => {
    attempt.sessionPresent = isPresent
  })
}

/** Whatever of the records has changed since they were read is looked at before anybody is told to be in. */
function lookAgain({ connection }: Attempt): Promise<void> | void {
  return connection.lookWhileEarly()
}

function acknowledge(attempt: Attempt): Promise<void> | void {
  const { connection, packet, clientId, session, sessionPresent } = attempt
  if (packet.protocolVersion < 5) {
    // A reserved byte in 3.1.
    const isTold = sessionPresent && packet.protocolVersion === 4
    connection.send({ cmd: 'connack', returnCode: 0, sessionPresent: isTold })
    return
  }
  const { limits } = connection.options
  const keepAlive = serverKeepAlive(attempt)
  const expiry = session?.expirySeconds ?? 0
  const isAsGiven = expiry === (packet.properties?.sessionExpiryInterval ?? 0)
  const isSent = connection.send({
    cmd: 'connack',
    reasonCode: reason.success,
    sessionPresent,
    properties: {
      receiveMaximum: limits.maxInflight,
      maximumPacketSize: limits.maxPacketBytes,
      ...(limits.maxTopicAliases > 0 ? { topicAliasMaximum: limits.maxTopicAliases } : {}),
      ...(packet.clientId === '' ? { assignedClientIdentifier: clientId } : {}),
      ...(isAsGiven ? {} : { sessionExpiryInterval: expiry }),
      ...(keepAlive === undefined ? {} : { serverKeepAlive: keepAlive }),
    },
  })
  // [MQTT-3.1.2-24]
  if (!isSent) return connection.end('packet-too-large')
}

/** Set when the client wants to be silent for longer than the broker waits (MQTT 5 §3.2.2.3.14). */
function serverKeepAlive({ connection, packet }: Attempt): number | undefined {
  const { maxKeepAliveSeconds } = connection.options.limits
  const isAccepted = packet.keepalive > 0 && packet.keepalive <= maxKeepAliveSeconds
  return packet.protocolVersion < 5 || isAccepted ? undefined : maxKeepAliveSeconds
}

function subscribeAgain({ connection, session }: Attempt): Promise<void> | void {
  if (session === undefined || session.subscriptions.size === 0) return
  return subscribeAll(connection, session)
}

async function subscribeAll(connection: Connection, session: Session): Promise<void> {
  for (const { topic } of session.subscriptions.all()) {
    if (connection.closed) return
    await session.broker.subscribe(topic, connection.deliver)
  }
}

function replay({ session }: Attempt): void {
  session?.delivery.start()
}
