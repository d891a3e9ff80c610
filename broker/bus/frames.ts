import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import { lengthOf, readMessages, writeMessage } from './message-bytes.ts'

/**
 * What replicas tell each other. Numbers are big-endian.
 *
 *     frame    'C' 'S' version:u8 kind:u8 sender:8 sequence:u48 body
 *
 *     batch    message*                                      the sender's batch of that number
 *     head     purpose:u8                                    its last one, or 0
 *     ask      last:u48 age:u48 organization                 send me those from `sequence` to `last`
 *     answer   lost:u48 length:u8 organization (length:u32 batch)*
 *
 * A head says just that, asks for those of the others, or answers such a question. A batch and a head go to all of an organization, an ask and an answer to one replica. `sequence` counts a
 * sender's batches of one organization and never goes back. An ask from 0 is one for all that was sent in the
 * last `age` ms. The first batch of an answer has the number `sequence`; of those asked for before it `lost`
 * can not be had any more.
 */
export type Frame = Batch | Head | Ask | Answer

interface Addressed {
  /** Hex. Names the replica that sent it. */
  readonly sender: string
  readonly sequence: number
}

export interface Batch extends Addressed {
  readonly kind: 'batch'
  readonly messages: readonly RoutedMessage[]
}

export interface Head extends Addressed {
  readonly kind: 'head'
  readonly purpose: HeadPurpose
}

export type HeadPurpose = (typeof purposes)[number]

export interface Ask extends Addressed {
  readonly kind: 'ask'
  readonly organization: OrganizationId
  readonly last: number
  readonly age: number
}

export interface Answer extends Addressed {
  readonly kind: 'answer'
  readonly organization: OrganizationId
  readonly lost: number
  readonly batches: readonly Buffer[]
}

export const senderBytes = 8
const version = 4
const kinds = ['batch', 'head', 'ask', 'answer'] as const
const purposes = ['tell', 'ask', 'answer'] as const
const headBytes = 4 + senderBytes + 6

export function encodeBatch(sender: Buffer, sequence: number, messages: readonly RoutedMessage[]): Buffer {
  let length = 0
  for (const message of messages) length += lengthOf(message)
  const bytes = frame('batch', sender, sequence, length)
  let at = headBytes
  for (const message of messages) at = writeMessage(bytes, at, message)
  return bytes
}

export function encodeHead(sender: Buffer, sequence: number, purpose: HeadPurpose): Buffer {
  const bytes = frame('head', sender, sequence, 1)
  bytes.writeUInt8(purposes.indexOf(purpose), headBytes)
  return bytes
}

export function encodeAsk(
  sender: Buffer,
  { sequence, last, age, organization }: Omit<Ask, 'kind' | 'sender'>,
): Buffer {
  const bytes = frame('ask', sender, sequence, 12 + organization.length)
  bytes.writeUIntBE(last, headBytes, 6)
  bytes.writeUIntBE(Math.floor(age), headBytes + 6, 6)
  bytes.write(organization, headBytes + 12, 'latin1')
  return bytes
}

export function encodeAnswer(
  sender: Buffer,
  { sequence, lost, organization, batches }: Omit<Answer, 'kind' | 'sender'>,
): Buffer {
  const bytes = frame('answer', sender, sequence, 7 + organization.length)
  bytes.writeUIntBE(lost, headBytes, 6)
  bytes.writeUInt8(organization.length, headBytes + 6)
  bytes.write(organization, headBytes + 7, 'latin1')
  const parts = [bytes]
  for (const batch of batches) {
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(batch.length)
    parts.push(length, batch)
  }
  return Buffer.concat(parts)
}

/** Whether this sender wrote the frame; known from its head, so that nobody decodes what he sent himself. */
export function isFrameOf(sender: Buffer, bytes: Buffer): boolean {
  return bytes.length >= headBytes && sender.compare(bytes, 4, 4 + senderBytes) === 0
}

/** Its number, if the frame is a batch. */
export function batchNumber(bytes: Buffer): number | undefined {
  return kinds[bytes.readUInt8(3)] === 'batch' ? bytes.readUIntBE(4 + senderBytes, 6) : undefined
}

/** Undefined for anything that is not exactly a frame: a channel may carry what others put on it. */
export function decodeFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < headBytes || bytes.toString('latin1', 0, 2) !== 'CS' || bytes[2] !== version)
    return undefined
  const kind = kinds[bytes.readUInt8(3)]
  const from = {
    sender: bytes.toString('hex', 4, 4 + senderBytes),
    sequence: bytes.readUIntBE(4 + senderBytes, 6),
  }
  const body = bytes.subarray(headBytes)
  if (kind === 'batch') {
    const messages = readMessages(body, from.sender)
    return messages === undefined ? undefined : { kind, ...from, messages }
  }
  if (kind === 'head') {
    const purpose = body.length === 1 ? purposes[body.readUInt8(0)] : undefined
    return purpose === undefined ? undefined : { kind, ...from, purpose }
  }
  if (kind === 'ask') return readAsk(from, body)
  return kind === 'answer' ? readAnswer(from, body) : undefined
}

function readAsk(from: Addressed, body: Buffer): Ask | undefined {
  if (body.length < 12) return undefined
  const organization = parseOrganizationId(body.toString('latin1', 12))
  if (organization === undefined) return undefined
  return { kind: 'ask', ...from, last: body.readUIntBE(0, 6), age: body.readUIntBE(6, 6), organization }
}

function readAnswer(from: Addressed, body: Buffer): Answer | undefined {
  if (body.length < 7) return undefined
  let at = 7 + body.readUInt8(6)
  const organization = parseOrganizationId(body.toString('latin1', 7, at))
  if (organization === undefined || at > body.length) return undefined
  const batches: Buffer[] = []
  while (at < body.length) {
    if (at + 4 > body.length) return undefined
    const end = at + 4 + body.readUInt32BE(at)
    if (end > body.length) return undefined
    batches.push(body.subarray(at + 4, end))
    at = end
  }
  return { kind: 'answer', ...from, lost: body.readUIntBE(0, 6), organization, batches }
}

function frame(kind: (typeof kinds)[number], sender: Buffer, sequence: number, bodyBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + bodyBytes)
  bytes.write('CS', 'latin1')
  bytes.writeUInt8(version, 2)
  bytes.writeUInt8(kinds.indexOf(kind), 3)
  sender.copy(bytes, 4, 0, senderBytes)
  bytes.writeUIntBE(sequence, 4 + senderBytes, 6)
  return bytes
}
