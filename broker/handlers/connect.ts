import { randomUUID } from 'node:crypto'
import { isTopicName, levelsOf } from '#core/access/topic-filter.ts'
import { errorFields } from '#core/process/logger.ts'
import type { Admission } from '../admission/admission.ts'
import type { NotArrived } from '../cluster/client-registry.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { ConnectPacket } from '../wire/packets.ts'
import { connackReturnCode, reason, type ReasonCode } from '../wire/reason-codes.ts'
import { admit, admitAgain, judge } from './admit.ts'
import type { Attempt, Step } from './connect-attempt.ts'
import { createSession } from './create-session.ts'
import { resumeSession } from './resume-session.ts'
import { storedWill, takeOver } from './take-over.ts'

type Full = Exclude<NotArrived, 'records-changed'>

const longestClientId = 256
/** Looks at the records, for one connection. */
const mostTries = 4

/** In the order in which they may depend on each other; nothing is read from a store before `admit`. */
const connectSteps: readonly Step[] = [
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
  subscribeAgain,
  replay,
]

/** The first packet of a connection. */
export async function handleConnect(connection: Connection, packet: ConnectPacket): Promise<void> {
  const attempt: Attempt = {
    connection,
    packet,
    clientId: packet.clientId,
    basis: [],
    sessionPresent: false,
  }
  for (const step of connectSteps) {
    const result = attemptStep(step, attempt)
    // Most steps have nothing to wait for, and waiting for nothing costs as much as some of them.
    const code = result instanceof Promise ? await result : result
    if (connection.closed) return leaveNothing(attempt)
    if (code !== undefined) return refuse(attempt, code)
  }
  tellFormerPassword(attempt)
  const looking = connection.opened()
  // Nothing of the client is handled before.
  if (looking !== undefined) await looking
}

function tellFormerPassword({ connection, session, clientId }: Attempt): void {
  const admission = session?.admission
  if (admission?.expiresAt === undefined || admission.source.type !== 'user') return
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

function failed(step: Step, { connection, clientId }: Attempt, error: unknown): ReasonCode {
  connection.options.log.warn(
    { step: step.name, clientId, ...errorFields(error) },
    'a CONNECT could not be served',
  )
  return reason.serverUnavailable
}

/** It may have ended while it was being registered. */
function leaveNothing({ connection, session }: Attempt): void {
  session?.broker.unregister(connection)
}

async function refuse({ connection }: Attempt, code: ReasonCode): Promise<void> {
  const answer = connection.version === 5 ? { reasonCode: code } : { returnCode: connackReturnCode(code) }
  connection.send({ cmd: 'connack', sessionPresent: false, ...answer })
  await connection.end('refused')
}

function refuseExtendedAuthentication({ packet }: Attempt): ReasonCode | void {
  if (packet.properties?.authenticationMethod !== undefined) return reason.badAuthenticationMethod
}

/** [MQTT-3.1.3-6] to [MQTT-3.1.3-8] */
function nameClient(attempt: Attempt): ReasonCode | void {
  const { packet, clientId } = attempt
  if (clientId.length > longestClientId) return reason.clientIdentifierNotValid
  if (clientId !== '') return
  // 3.1 knows no empty one.
  if (packet.protocolVersion === 3 || (packet.protocolVersion === 4 && !packet.clean)) {
    return reason.clientIdentifierNotValid
  }
  attempt.clientId = `auto-${randomUUID()}`
}

function readWill(attempt: Attempt): ReasonCode | void {
  const { will } = attempt.packet
  if (will === undefined) return
  const { limits } = attempt.connection.options
  if (!isTopicName(will.topic)) return reason.topicNameInvalid
  if (levelsOf(will.topic) > limits.maxTopicLevels) return reason.topicNameInvalid
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

async function openSession(attempt: Attempt): Promise<void> {
  const { connection, packet, clientId } = attempt
  const admission = attempt.admission as Admission
  const { organizationId } = admission
  const broker = await connection.options.organizations.acquire(organizationId)
  if (connection.closed) return connection.options.organizations.release(organizationId)
  connection.maxSendBytes = packet.properties?.maximumPacketSize ?? Infinity
  connection.useAliases(packet.properties?.topicAliasMaximum ?? 0)
  attempt.session = createSession(attempt, admission, broker, clientId)
  connection.open(attempt.session, serverKeepAlive(attempt) ?? packet.keepalive)
}

async function claim(attempt: Attempt): Promise<ReasonCode | void> {
  for (let tries = 0; tries < mostTries; tries += 1) {
    const { connection, packet, clientId, admission, session, basis, will } = attempt
    if (session === undefined || admission === undefined || connection.closed) return
    const { expirySeconds } = session
    const kept = will && storedWill(will, admission, { packet, clientId, expirySeconds })
    const problem = await takeOver(connection, session, basis, packet.clean === true, kept)
    if (problem === undefined) return
    if (problem !== 'records-changed') return refuseFull(attempt, problem)
    const code = await judgeNow(attempt, session)
    if (code !== undefined) return code
  }
  // Whoever changes records that fast may be met in another moment.
  return reason.serverUnavailable
}

function refuseFull({ connection, admission, clientId }: Attempt, refusal: Full): ReasonCode {
  const { log, metrics } = connection.options
  metrics.refused(refusal)
  const fields = {
    organization: admission?.organizationId,
    principal: admission?.principal,
    clientId,
    refusal,
  }
  log.info(fields, 'a client was refused')
  return reason.quotaExceeded
}

/** The records are not those any more that the client was let in by. */
async function judgeNow(attempt: Attempt, former: Session): Promise<ReasonCode | void> {
  const { connection, clientId } = attempt
  const code = await admitAgain(attempt)
  if (code !== undefined) return code
  attempt.session = createSession(attempt, attempt.admission as Admission, former.broker, clientId)
  connection.session = attempt.session
  connection.armExpiry()
}

async function resume(attempt: Attempt): Promise<void> {
  const { connection, packet, session } = attempt
  attempt.sessionPresent = await resumeSession(connection, session as Session, packet.clean === true)
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
