/** Bytes that a variable byte integer takes (MQTT 5 §1.5.5). */
export function lengthBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

/** Returns where it ends. */
export function writeLength(bytes: Buffer, at: number, value: number): number {
  let rest = value
  let position = at
  for (;;) {
    const digit = rest % 128
    rest = (rest - digit) / 128
    bytes[position] = rest > 0 ? digit | 0x80 : digit
    position += 1
    if (rest === 0) return position
  }
}
