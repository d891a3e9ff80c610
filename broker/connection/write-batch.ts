import {
  acknowledgementBytes,
  type AcknowledgementName,
  writeAcknowledgement,
} from '../wire/acknowledgements.ts'
import { type EncodedPublish, setDuplicate } from '../wire/publish.ts'

/**
 * What one turn of the event loop has for a client, as pieces of other buffers: a fan-out shares its bytes, and
 * each client has packet ids of its own. Made to be filled and emptied again and again.
 */
export class WriteBatch {
  bytes = 0
  /** In order; none where there is an acknowledgement. */
  readonly #pieces: (Buffer | undefined)[] = []
  /** Two for each of them: start and end, or of an acknowledgement its place in `#names` and its packet id. */
  readonly #ranges: number[] = []
  readonly #names: AcknowledgementName[] = []
  /** Two for each packet id: where it stands in the output, and what it is. */
  readonly #ids: number[] = []
  /** Where in the output a packet begins that was sent before. */
  readonly #duplicates: number[] = []

  add(bytes: Buffer, start: number, end: number): void {
    const last = this.#pieces.length - 1
    // One piece with the one before: what a client reads is often what another one wrote in one go.
    if (last >= 0 && bytes === this.#pieces[last] && start === this.#ranges[last * 2 + 1]) {
      this.#ranges[last * 2 + 1] = end
    } else {
      this.#pieces.push(bytes)
      this.#ranges.push(start, end)
    }
    this.bytes += end - start
  }

  publish({ bytes, start, end, messageIdAt }: EncodedPublish, messageId: number, isDuplicate: boolean): void {
    if (messageId > 0) {
      this.#ids.push(this.bytes + messageIdAt - start, messageId)
      if (isDuplicate) this.#duplicates.push(this.bytes)
    }
    this.add(bytes, start, end)
  }

  acknowledge(name: AcknowledgementName, messageId: number): void {
    this.#pieces.push(undefined)
    this.#ranges.push(this.#names.length, messageId)
    this.#names.push(name)
    this.bytes += acknowledgementBytes
  }

  /** All of it where it lies already, when it is one piece that nothing is written into. */
  asOnePiece(): Buffer | undefined {
    const [piece] = this.#pieces
    if (piece === undefined || this.#pieces.length > 1 || this.#ids.length > 0) return undefined
    return this.bytes === piece.length ? piece : piece.subarray(this.#ranges[0], this.#ranges[1])
  }

  /** `target` has room for `bytes`. */
  writeTo(target: Buffer): void {
    let at = 0
    for (let index = 0; index < this.#pieces.length; index += 1) {
      const piece = this.#pieces[index]
      const from = this.#ranges[index * 2] ?? 0
      const to = this.#ranges[index * 2 + 1] ?? 0
      if (piece === undefined) at = writeAcknowledgement(target, at, this.#names[from] ?? 'puback', to)
      else at += piece.copy(target, at, from, to)
    }
    for (let index = 0; index < this.#ids.length; index += 2) {
      target.writeUInt16BE(this.#ids[index + 1] ?? 0, this.#ids[index])
    }
    for (const position of this.#duplicates) setDuplicate(target, position)
  }

  clear(): void {
    this.bytes = 0
    this.#pieces.length = 0
    this.#ranges.length = 0
    this.#names.length = 0
    this.#ids.length = 0
    this.#duplicates.length = 0
  }
}
