import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type PeerCertificate } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'
import { connectClient, everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'

let broker: TestBroker
let certificate: TestCertificate

beforeAll(async () => {
  certificate = await makeCertificate()
})
afterAll(() => certificate.remove())

beforeEach(async () => {
  const address = { host: '127.0.0.1', port: 0, cert: certificate.cert, key: certificate.key }
  broker = await startTestBroker({
    listeners: { mqtts: address, wss: address },
    limits: { connectTimeoutMs: 300 },
  })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
})

afterEach(async () => {
  await broker.stop()
})

/** The certificate that the broker shows, or why there is no handshake. */
async function handshake(port: number, options: ConnectionOptions = {}): Promise<PeerCertificate | Error> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    ca: certificate.cert,
    servername: 'localhost',
    ...options,
  })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerCertificate()
  } catch (error) {
    return error as Error
  } finally {
    socket.destroy()
  }
}

describe.each(['mqtts', 'wss'] as const)('the listener %s', (name) => {
  const port = (): number => broker.broker.ports[name] ?? 0

  test('serves clients over TLS', async () => {
    const client = await connectClient(`${name}://localhost:${port()}`, 'ada', { ca: certificate.cert })
    await client.end()
  })

  test.each(['TLSv1', 'TLSv1.1'] as const)('refuses %s', async (maxVersion) => {
    // Or the client itself would not try.
    const ciphers = 'DEFAULT@SECLEVEL=0'
    const result = await handshake(port(), { minVersion: 'TLSv1', maxVersion, ciphers })
    expect(result).toMatchObject({ message: expect.stringContaining('protocol version') })
  })

  test.each([
    ['ECDHE-RSA-AES128-GCM-SHA256', 'TLSv1.2'],
    ['ECDHE-RSA-CHACHA20-POLY1305', 'TLSv1.2'],
    ['TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
  ] as const)('accepts %s', async (ciphers, version) => {
    const options = { ciphers, minVersion: version, maxVersion: version }
    expect(await handshake(port(), options)).toMatchObject({ subject: { CN: 'localhost' } })
  })

  test.each([
    ['whose key opens what was said before', 'AES128-GCM-SHA256'],
    ['of blocks', 'ECDHE-RSA-AES128-SHA'],
    ['of blocks with a newer hash', 'ECDHE-RSA-AES256-SHA384'],
    ['without a certificate', 'AECDH-AES128-SHA'],
    ['that hides nothing', 'ECDHE-RSA-NULL-SHA'],
  ])('refuses a cipher %s', async (_what, cipher) => {
    const ciphers = `${cipher}:@SECLEVEL=0`
    const result = await handshake(port(), { ciphers, maxVersion: 'TLSv1.2' })
    expect(result).toMatchObject({ code: expect.stringMatching(/HANDSHAKE_FAILURE/) })
  })

  test('accepts TLS 1.2, without renegotiation', async () => {
    const socket = connectTls({
      port: port(),
      host: '127.0.0.1',
      ca: certificate.cert,
      servername: 'localhost',
      maxVersion: 'TLSv1.2',
    })
    await once(socket, 'secureConnect')
    socket.resume()
    const answer = await new Promise<Error | undefined>((resolve) => {
      socket.on('error', resolve)
      socket.on('close', () => resolve(undefined))
      socket.renegotiate({}, (error) => resolve(error ?? undefined))
    })
    expect(answer).toMatchObject({ message: expect.stringContaining('renegotiation') })
    socket.destroy()
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a handshake', Buffer.from('16030100c4010000c00303', 'hex')],
  ])('closes a socket that sends %s', async (_name, bytes) => {
    const socket: Socket = connectTcp(port(), '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'connect')
    socket.write(bytes)
    await once(socket, 'close')
  })

  test('shows a new certificate to new connections, and keeps those there are', async () => {
    const client = await connectClient(`${name}://localhost:${port()}`, 'ada', { ca: certificate.cert })
    const renewed = await makeCertificate()
    const before = (await handshake(port())) as PeerCertificate
    broker.broker.useCertificate(renewed)
    const after = (await handshake(port(), { ca: renewed.cert })) as PeerCertificate
    expect(after.fingerprint256).toMatch(/^[0-9A-F:]+$/)
    expect(after.fingerprint256).not.toBe(before.fingerprint256)
    expect(
      await handshake(port(), {
        ca: renewed.cert,
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      }),
    ).toBeInstanceOf(Error)
    await client.mqtt.subscribeAsync('still/here')
    await client.end()
    await renewed.remove()
  })
})
