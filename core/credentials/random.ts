import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4096)
let used = pool.length

/** Random bytes for a secret. Drawn from the system many at a time: each draw costs more than all the rest. */
export function randomSecretBytes(count: number): Buffer {
  if (used + count > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const bytes = Buffer.from(pool.subarray(used, used + count))
  pool.fill(0, used, used + count)
  used += count
  return bytes
}

const characters = 'abcdefghijklmnopqrstuvwxyz0123456789'
/** The bytes that are evenly spread over the characters. */
const evenly = 256 - (256 % characters.length)

/** Random characters of a-z and 0-9, a little more than five bits each. */
export function randomName(length: number): string {
  let name = ''
  while (name.length < length) {
    for (const byte of randomSecretBytes(length)) {
      if (byte < evenly && name.length < length) name += characters[byte % characters.length]
    }
  }
  return name
}
