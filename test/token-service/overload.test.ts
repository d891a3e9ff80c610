import { once } from 'node:events'
import { request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { LoadShedder } from '../../token-service/limits/load-shedder.ts'
import { sheddingServer } from '../../token-service/plugins/overload.ts'

let server: Server | undefined
afterEach(async () => {
  server?.close()
  server?.closeAllConnections()
})

const overloaded = (): LoadShedder => {
  const shedder = new LoadShedder()
  for (let index = 0; index < 1_000; index += 1) shedder.admit()
  for (let index = 0; index < 200; index += 1) {
    shedder.done(1_000)
    shedder.observe({ lateMs: 500, utilization: 1 })
  }
  return shedder
}

async function start(shedder: LoadShedder, onShed = (): void => {}): Promise<string> {
  server = sheddingServer(shedder, onShed)(
    (_request, response) => response.writeHead(200).end('done'),
    {},
  ) as Server
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a service that has too much to do', () => {
  test('refuses at once, in the words of each face, and says when to come again', async () => {
    let shed = 0
    const url = await start(overloaded(), () => (shed += 1))
    for (const [path, type, body] of [
      ['/v1/token/exchange', 'application/problem+json', { code: 'overloaded', status: 503 }],
      ['/v2/tokens/exchange', 'application/json', { error: 'overloaded' }],
      ['/oauth2/token', 'application/json', { error: 'temporarily_unavailable', code: 'overloaded' }],
    ] as const) {
      const response = await fetch(url + path, { method: 'POST', body: 'x'.repeat(10_000) })
      expect(response.status).toBe(503)
      expect(response.headers.get('content-type')).toBe(type)
      expect(response.headers.get('retry-after')).toBe('2')
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.json()).toMatchObject(body)
    }
    expect(shed).toBe(3)
  })

  test('keeps the connection, and answers what it lets in', async () => {
    const url = await start(overloaded())
    const statuses = new Map<number, number>()
    for (let index = 0; index < 120; index += 1) {
      const response = await fetch(url, { method: 'POST', body: '{}' })
      await response.text()
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
    }
    expect(statuses.get(200)).toBeGreaterThan(0)
    expect(statuses.get(503)).toBeGreaterThan(50)
  })

  test('reads a body to its end, so that the next request on the connection is one', async () => {
    const url = new URL(await start(overloaded()))
    const socket = request({ port: url.port, host: url.hostname, method: 'POST', path: '/' })
    socket.write('x'.repeat(100_000))
    const [response] = (await once(socket, 'response')) as [{ statusCode: number; resume(): void }]
    response.resume()
    socket.end('x'.repeat(100_000))
    expect([200, 503]).toContain(response.statusCode)
    expect((await fetch(url)).status).toBeGreaterThanOrEqual(200)
  })
})

test('a service that has time lets everybody in', async () => {
  const url = await start(new LoadShedder())
  for (let index = 0; index < 20; index += 1) expect((await fetch(url)).status).toBe(200)
})
