/** Message Expiry Interval (MQTT 5 §3.3.2.3.3) in the property bytes of a PUBLISH that have been checked. */

const identifier = 0x02

/** Bytes of each property's value; absent for those that say it themselves. */
const fixedLengths: Readonly<Record<number, number>> = { 0x01: 1, 0x02: 4, 0x23: 2 }
const texts: Readonly<Record<number, number>> = { 0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2 }

/** In seconds; undefined for a message that does not expire. */
export function messageExpiry(properties: Buffer | undefined): number | undefined {
  const at = properties === undefined ? undefined : valueAt(properties)
  return at === undefined ? undefined : properties?.readUInt32BE(at)
}

/** A copy of the properties that says how much is left [MQTT-3.3.2-6]. */
export function withMessageExpiry(properties: Buffer, seconds: number): Buffer {
  const at = valueAt(properties)
  if (at === undefined) return properties
  const copy = Buffer.from(properties)
  copy.writeUInt32BE(seconds, at)
  return copy
}

function valueAt(properties: Buffer): number | undefined {
  for (let at = 0; at < properties.length;) {
    const name = properties[at] ?? 0
    at += 1
    if (name === identifier) return at + 4 <= properties.length ? at : undefined
    at = endOfValue(properties, at, name)
  }
  return undefined
}

function endOfValue(properties: Buffer, start: number, name: number): number {
  const fixed = fixedLengths[name]
  if (fixed !== undefined) return start + fixed
  let at = start
  const parts = texts[name]
  if (parts !== undefined) {
    for (let part = 0; part < parts; part += 1) {
      if (at + 2 > properties.length) return properties.length
      at += 2 + properties.readUInt16BE(at)
    }
    return at
  }
  // A variable byte integer.
  while (((properties[at] ?? 0) & 0x80) !== 0) at += 1
  return at + 1
}
