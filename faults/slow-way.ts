import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a port of the loopback that takes its time. */
export interface SlowWay {
  readonly url: string
  /** For what comes from now on, in each direction. */
  delay(ms: number): void
  /** Ends what is open; others may come. */
  cut(): void
  stop(): void
}

export async function startSlowWay(port: number): Promise<SlowWay> {
  const sockets = new Set<Socket>()
  let delayMs = 0
  const forward = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('error', () => {})
    const waiting: { readonly at: number; readonly bytes: Buffer }[] = []
    // In order: of two timers the later one may well ring first.
    const forwardDue = (): void => {
      while (waiting[0] !== undefined && waiting[0].at <= performance.now()) {
        to.write(waiting.shift()?.bytes ?? Buffer.alloc(0))
      }
      if (waiting[0] !== undefined) setTimeout(forwardDue, waiting[0].at - performance.now() + 1)
    }
    from.on('data', (bytes: Buffer) => {
      waiting.push({ at: Math.max(performance.now() + delayMs, waiting.at(-1)?.at ?? 0), bytes })
      if (waiting.length === 1) forwardDue()
    })
    from.once('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    forward(near, far)
    forward(far, near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    delay: (ms) => void (delayMs = ms),
    cut,
    stop: () => {
      server.close()
      cut()
    },
  }
}
