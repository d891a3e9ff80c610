/**
 * Cuts a byte stream into MQTT control packets by their fixed header (MQTT 5 §2.1), before anything is parsed:
 * a packet over the limit is refused at its header, so that nobody can make the broker buffer it.
 */
export class Framer {
  /** Largest packet in bytes, header included; may be changed between packets. */
  maxPacketBytes: number
  #chunks: Buffer[] = []
  #bytes = 0
  /** Whole length of the packet that has begun; 0 while its header is incomplete. */
  #wanted = 0

  constructor(maxPacketBytes: number) {
    this.maxPacketBytes = maxPacketBytes
  }

  /** Calls `frame` for each complete packet. Returns why the stream can not be read on, if so. */
  push(bytes: Buffer, frame: (packet: Buffer) => void): FramingError | undefined {
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
    for (;;) {
      if (this.#wanted === 0) {
        const length = this.#readLength()
        if (length === undefined) return undefined
        if (length === 'malformed') return 'malformed'
        if (length > this.maxPacketBytes) return 'too-large'
        this.#wanted = length
      }
      if (this.#bytes < this.#wanted) return undefined
      frame(this.#take(this.#wanted))
      this.#wanted = 0
    }
  }

  /** Whole length of the packet at the front; undefined while its header is incomplete. */
  #readLength(): number | 'malformed' | undefined {
    let length = 0
    for (let index = 1; index <= 4; index += 1) {
      const byte = this.#byteAt(index)
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 128 ** (index - 1)
      if (byte < 0x80) return 1 + index + length
    }
    return 'malformed'
  }

  #byteAt(index: number): number | undefined {
    let rest = index
    for (const chunk of this.#chunks) {
      if (rest < chunk.length) return chunk[rest]
      rest -= chunk.length
    }
    return undefined
  }

  #take(length: number): Buffer {
    const [first] = this.#chunks
    const whole = first !== undefined && first.length >= length ? first : Buffer.concat(this.#chunks)
    const packet = whole.subarray(0, length)
    const rest = whole.subarray(length)
    const others = whole === first ? this.#chunks.slice(1) : []
    this.#chunks = rest.length > 0 ? [rest, ...others] : others
    this.#bytes -= length
    return packet
  }
}

export type FramingError = 'malformed' | 'too-large'
