import type { Socket } from 'node:net'
import type { Redis } from 'ioredis'
import { atEndOfTurn } from '#core/process/end-of-turn.ts'

const everyMs = 1_000
/** For an answer that lies in the socket's buffer while this process was busy. */
const graceMs = 100

/**
 * Ends a connection that is open and silent: the other end was cut off or hangs, and TCP alone finds out after a
 * quarter of an hour. It asks for a sign of life once a second and waits as long as for any command; bytes of
 * anything else are one too.
 */
export function endWhenSilent(redis: Redis): void {
  const timer = setInterval(() => {
    if (redis.status === 'ready') ask(redis)
  }, everyMs)
  timer.unref()
  redis.once('end', () => clearInterval(timer))
}

function ask(redis: Redis): void {
  const stream = redis.stream as Socket
  const before = stream.bytesRead
  redis.ping().catch(() => {
    setTimeout(() => {
      if (redis.stream === stream && stream.bytesRead === before) stream.destroy()
    }, graceMs).unref()
  })
}

/**
 * Gathers the commands of one turn of the event loop into one write: ioredis makes a system call for each, which
 * is most of what a command costs here.
 */
export function writeOncePerTurn(stream: Pick<Socket, 'write' | 'cork' | 'uncork'>): void {
  const write = stream.write.bind(stream) as (...parameters: unknown[]) => boolean
  let isCorked = false
  stream.write = (...parameters: unknown[]): boolean => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      atEndOfTurn(() => {
        isCorked = false
        stream.uncork()
      })
    }
    return write(...parameters)
  }
}
