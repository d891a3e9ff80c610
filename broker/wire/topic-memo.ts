const longest = 128

/** The topic that a client used last: most clients have few, and each is checked and decoded once in a row. */
export class TopicMemo {
  #bytes: Buffer | undefined
  #topic = ''

  find(bytes: Buffer, start: number, end: number): string | undefined {
    const known = this.#bytes
    if (known === undefined || known.length !== end - start) return undefined
    for (let index = 0; index < known.length; index += 1) {
      if (known[index] !== bytes[start + index]) return undefined
    }
    return this.#topic
  }

  keep(bytes: Buffer, start: number, end: number, topic: string): void {
    if (end - start > longest) return
    this.#bytes = Buffer.from(bytes.subarray(start, end))
    this.#topic = topic
  }
}
