/** A complete packet: `bytes` from `start` to `end`. Nothing of it is kept by who hands it out. */
export type Frame = (bytes: Buffer, start: number, end: number) => void

export type FramingError = 'malformed' | 'too-large'

const longestHeader = 5

/**
 * Cuts a byte stream into MQTT control packets by their fixed header (MQTT 5 §2.1), before anything is parsed:
 * a packet over the limit is refused at its header, so that nobody can make the broker buffer it.
 */
export class Framer {
  /** Largest packet in bytes, header included; may be changed between packets. */
  maxPacketBytes: number
  /** What came of a packet that is not complete. */
  #held: Buffer[] = []
  #heldBytes = 0
  /** Whole length of that packet; 0 while its header is incomplete. */
  #wanted = 0

  constructor(maxPacketBytes: number) {
    this.maxPacketBytes = maxPacketBytes
  }

  /** Calls `frame` for each complete packet. Returns why the stream can not be read on, if so. */
  push(bytes: Buffer, frame: Frame): FramingError | undefined {
    let at = 0
    if (this.#heldBytes > 0) {
      const end = this.#complete(bytes, frame)
      if (typeof end !== 'number') return end
      at = end
    }
    while (at < bytes.length) {
      const length = lengthAt(bytes, at)
      if (length === 'malformed') return 'malformed'
      if (length > this.maxPacketBytes) return 'too-large'
      const end = at + length
      if (length === 0 || end > bytes.length) {
        this.#hold(bytes, at)
        this.#wanted = length
        return undefined
      }
      frame(bytes, at, end)
      at = end
    }
    return undefined
  }

  /** Goes on with the packet that has begun. Returns where the next one begins. */
  #complete(bytes: Buffer, frame: Frame): number | FramingError {
    if (this.#wanted === 0) {
      const header = Buffer.concat([...this.#held, bytes.subarray(0, longestHeader)])
      const length = lengthAt(header, 0)
      if (length === 'malformed') return 'malformed'
      if (length > this.maxPacketBytes) return 'too-large'
      this.#wanted = length
    }
    const missing = this.#wanted - this.#heldBytes
    if (this.#wanted === 0 || bytes.length < missing) {
      this.#hold(bytes, 0)
      return bytes.length
    }
    const packet = Buffer.concat([...this.#held, bytes.subarray(0, missing)])
    this.#held = []
    this.#heldBytes = 0
    this.#wanted = 0
    frame(packet, 0, packet.length)
    return missing
  }

  #hold(bytes: Buffer, at: number): void {
    const rest = bytes.subarray(at)
    // A view would keep all of what was read alive.
    this.#held.push(rest.length * 2 < bytes.length ? Buffer.from(rest) : rest)
    this.#heldBytes += rest.length
  }
}

/** Whole length of the packet that begins there; 0 while its header is incomplete. */
function lengthAt(bytes: Buffer, at: number): number | 'malformed' {
  let length = 0
  let scale = 1
  for (let index = 1; index < longestHeader; index += 1) {
    const byte = bytes[at + index]
    if (byte === undefined) return 0
    length += (byte & 0x7f) * scale
    if (byte < 0x80) return 1 + index + length
    scale *= 128
  }
  return 'malformed'
}
