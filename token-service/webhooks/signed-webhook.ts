import { createHmac, timingSafeEqual } from 'node:crypto'

/** What a webhook says of itself in its headers. */
export interface WebhookHeaders {
  /** The same when it is sent again. */
  readonly id: string
  /** Seconds since the epoch. */
  readonly timestamp: string
  /** One or more, separated by spaces, each `<version>,<base64>`. */
  readonly signature: string
}

/** Why a webhook is not believed; for the audit alone. */
export type WebhookFailure = 'malformed-headers' | 'out-of-time' | 'wrong-signature'

/** How far its time may be from ours, either way. */
export const toleranceSeconds = 300
const mostSignatures = 20
// Without the dots that the parts of what is signed are separated by.
const idPattern = /^[A-Za-z0-9_-]{1,256}$/
const timestampPattern = /^[1-9]\d{0,11}$/

/**
 * Judges a webhook by the Standard Webhooks specification, which Svix's signatures are by too. `body` is what was sent,
 * byte by byte. Undefined when it is genuine; whether it came before is another question.
 */
export function webhookFailure(
  keys: readonly Buffer[],
  { id, timestamp, signature }: WebhookHeaders,
  body: Buffer,
  nowSeconds: number,
): WebhookFailure | undefined {
  if (!idPattern.test(id) || !timestampPattern.test(timestamp)) return 'malformed-headers'
  const given = signature.split(' ')
  if (given.length > mostSignatures) return 'malformed-headers'
  const expected = keys.map((key) => signatureOf(key, { id, timestamp }, body))
  // Each with each, so that the time it takes says nothing of which was nearly right.
  const matches = given.flatMap((each) => expected.map((one) => isSame(each, one)))
  if (!matches.includes(true)) return 'wrong-signature'
  return Math.abs(nowSeconds - Number(timestamp)) > toleranceSeconds ? 'out-of-time' : undefined
}

function signatureOf(
  key: Buffer,
  { id, timestamp }: Omit<WebhookHeaders, 'signature'>,
  body: Buffer,
): Buffer {
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body)
  return Buffer.from(`v1,${mac.digest('base64')}`)
}

function isSame(given: string, expected: Buffer): boolean {
  const actual = Buffer.from(given)
  return actual.length === expected.length && timingSafeEqual(actual, expected)
}
