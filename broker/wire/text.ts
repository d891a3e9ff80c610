import { isUtf8 } from 'node:buffer'

/** [MQTT-1.5.4-1] [MQTT-1.5.4-2] (3.1.1: [MQTT-1.5.3-1] [MQTT-1.5.3-2]): well-formed UTF-8 without NUL. */
export function isText(bytes: Buffer): boolean {
  return isUtf8(bytes) && !bytes.includes(0)
}

/**
 * Of text that names something (client id, username, topic, filter): no control characters and no
 * non-characters either, for which MQTT 5 §1.5.4 lets a receiver close the connection. Judged on the bytes: a
 * decoded U+FFFD does not tell whether it was sent.
 */
export function isName(frame: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = frame[at] ?? 0
    if (byte >= 0x80) return isNameBeyondAscii(frame.subarray(at, end))
    if (byte < 0x20 || byte === 0x7f) return false
  }
  return true
}

function isNameBeyondAscii(bytes: Buffer): boolean {
  return isUtf8(bytes) && !/[\p{Cc}\p{NChar}]/u.test(bytes.toString('utf8'))
}
