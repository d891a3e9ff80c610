import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'

/** For fastify's option `genReqId`: names that no other process gives. */
export function requestIds(): () => string {
  const process = randomBytes(6).toString('hex')
  let count = 0
  return () => `${process}-${(count += 1).toString(36)}`
}

/** Whoever asks why they were refused can say which request it was: its cause stands in the audit log. */
export function tellRequestIds(app: FastifyInstance): void {
  app.addHook('onRequest', ({ id }, reply, done) => {
    reply.header('request-id', id)
    done()
  })
}
