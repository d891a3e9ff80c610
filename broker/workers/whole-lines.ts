import type { Readable } from 'node:stream'

const lineFeed = 0x0a

/** Hands on whole lines only: those that several processes write at once do not get mixed up. */
export function forwardLines(from: Readable, write: (bytes: Buffer) => unknown): void {
  let begun: Buffer[] = []
  from.on('data', (chunk: Buffer) => {
    const end = chunk.lastIndexOf(lineFeed) + 1
    if (end > 0) write(Buffer.concat([...begun.splice(0), chunk.subarray(0, end)]))
    if (end < chunk.length) begun.push(chunk.subarray(end))
  })
  from.once('end', () => {
    if (begun.length > 0) write(Buffer.concat([...begun, Buffer.from([lineFeed])]))
    begun = []
  })
}
