import { connect, type AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import { expect, test } from 'vitest'
import { closeConnectionsAtEnd } from '../../token-service/plugins/closing-connections.ts'

test('a request that never ends does not keep the service from ending', async () => {
  const app = fastify()
  closeConnectionsAtEnd(app, 200)
  const begun = Promise.withResolvers<void>()
  app.post('/', { onRequest: async () => begun.resolve() }, async () => 'never')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{')
  await begun.promise
  const started = performance.now()
  await app.close()
  expect(performance.now() - started).toBeLessThan(5_000)
  socket.destroy()
})
