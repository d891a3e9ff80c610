import type { RoutedMessage } from '../aedes/messages.ts'
import type { Recipients } from './recipients.ts'
import { messageName } from './session-persistence.ts'
import { encodeMessage } from './stored-message.ts'

/** Of one call, so that nobody else waits long for Redis: more are several calls. */
const copiesPerCall = 2_000
const bytesPerCall = 1_048_576

interface Call {
  /** As the script `enqueue` takes them. */
  readonly values: (string | number | Buffer)[]
  messages: number
  copies: number
  bytes: number
}

/**
 * What puts these messages into the queues of their recipients, in their order. Messages in a row for the same
 * recipients share their names.
 */
export function enqueueCalls(
  messages: readonly RoutedMessage[],
  recipients: readonly Recipients[],
  most: number,
): Call['values'][] {
  const calls: Call[] = []
  for (let first = 0, end = 0; first < messages.length; first = end) {
    const [whose, qos] = [recipients[first], messages[first]?.qos ?? 0]
    for (end = first + 1; recipients[end] === whose && messages[end]?.qos === qos;) end += 1
    if (whose === undefined) continue
    const row = messages.slice(first, end)
    if (qos < 2) put(calls, row, whose.all, 1, most)
    else {
      put(calls, row, whose.once, 1, most)
      put(calls, row, whose.exactlyOnce, 2, most)
    }
  }
  return calls.map(({ values, messages: count }) => values.with(1, count))
}

function put(
  calls: Call[],
  row: readonly RoutedMessage[],
  all: readonly string[],
  qos: 1 | 2,
  most: number,
): void {
  for (let at = 0; at < all.length; at += copiesPerCall) {
    const ids = all.length <= copiesPerCall ? all : all.slice(at, at + copiesPerCall)
    for (let next = 0; next < row.length;)
      next = putSome(callFor(calls, ids.length, most), row, next, ids, qos)
  }
}

/** Returns the index of the first that did not fit. */
function putSome(
  call: Call,
  row: readonly RoutedMessage[],
  first: number,
  ids: readonly string[],
  qos: 1 | 2,
): number {
  const { values } = call
  const head = values.push(0, ids.length) - 2
  let next = first
  do {
    const message = row[next] as RoutedMessage
    const body = encodeMessage(message, qos)
    values.push(messageName(message), body)
    call.bytes += body.length
    call.copies += ids.length
    next += 1
  } while (next < row.length && hasRoom(call, ids.length))
  values[head] = next - first
  for (const id of ids) values.push(id)
  call.messages += next - first
  return next
}

function callFor(calls: Call[], copies: number, most: number): Call {
  const last = calls.at(-1)
  if (last !== undefined && hasRoom(last, copies)) return last
  const call = { values: [most, 0], messages: 0, copies: 0, bytes: 0 }
  calls.push(call)
  return call
}

function hasRoom({ copies, bytes }: Call, more: number): boolean {
  return bytes < bytesPerCall && copies + more <= copiesPerCall
}
