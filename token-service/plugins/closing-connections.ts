import type { FastifyInstance } from 'fastify'

/** Node no longer enforces its own time limits once a server closes. */
const longestEnd = 15_000

/**
 * While the service ends, each answer ends its connection: a request that is running now would otherwise leave
 * a kept-alive connection behind, which closing waits for. Requests that never come to an end are cut off.
 */
export function closeConnectionsAtEnd(app: FastifyInstance, afterMs: number = longestEnd): void {
  let cut: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    cut = setTimeout(() => app.server.closeAllConnections(), afterMs)
  })
  app.addHook('onClose', async () => clearTimeout(cut))
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (cut !== undefined) reply.header('connection', 'close')
    done()
  })
}
