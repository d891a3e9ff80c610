import { PacketFault } from './packet-fault.ts'
import { isName, isText } from './text.ts'

/**
 * Reads the fields of one complete packet in their order. Every method throws a PacketFault for what the
 * packet does not hold or MQTT does not allow.
 */
export class PacketReader {
  readonly #frame: Buffer
  #at: number
  #end: number

  /** Begins behind the fixed header, whose length the framer has checked. */
  constructor(frame: Buffer) {
    let at = 1
    while (((frame[at] ?? 0) & 0x80) !== 0) at += 1
    this.#frame = frame
    this.#at = at + 1
    this.#end = frame.length
  }

  get position(): number {
    return this.#at
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end
  }

  /** Bytes from `start` to where the reader stands now. */
  since(start: number): Buffer {
    return this.#frame.subarray(start, this.#at)
  }

  byte(): number {
    return this.#frame.readUInt8(this.#take(1))
  }

  uint16(): number {
    return this.#frame.readUInt16BE(this.#take(2))
  }

  uint32(): number {
    return this.#frame.readUInt32BE(this.#take(4))
  }

  /** Of one to four bytes, and no longer than it needs [MQTT-1.5.5-1]. */
  variableInteger(): number {
    let value = 0
    for (let index = 0; index < 4; index += 1) {
      const byte = this.byte()
      value += (byte & 0x7f) * 128 ** index
      if (byte < 0x80) {
        if (byte === 0 && index > 0) throw malformed('a number longer than it needs')
        return value
      }
    }
    throw malformed('a number that does not end')
  }

  binary(): Buffer {
    const length = this.uint16()
    const at = this.#take(length)
    return this.#frame.subarray(at, at + length)
  }

  text(): string {
    const bytes = this.binary()
    if (!isText(bytes)) throw malformed('ill-formed text')
    return bytes.toString('utf8')
  }

  /** Of what names something. */
  name(): string {
    const bytes = this.binary()
    if (!isName(bytes, 0, bytes.length)) throw malformed('ill-formed name')
    return bytes.toString('utf8')
  }

  /** Lets `read` see only the next `length` bytes, all of which it must take. */
  within<Value>(length: number, read: () => Value): Value {
    const outer = this.#end
    const end = this.#at + length
    if (end > outer) throw malformed('a part longer than its packet')
    this.#end = end
    const value = read()
    this.end()
    this.#end = outer
    return value
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#at !== this.#end) throw malformed('more bytes than the packet has fields')
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#end) throw malformed('the packet ends too early')
    this.#at = at + length
    return at
  }
}

export function malformed(message: string): PacketFault {
  return new PacketFault('malformed-packet', message)
}

export function protocolError(message: string): PacketFault {
  return new PacketFault('protocol-error', message)
}
