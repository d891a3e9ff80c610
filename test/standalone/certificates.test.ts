import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer, connect } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Certificates, provideCertificates } from '../../standalone/certificates.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const dayMs = 86_400_000

/** Resolves when a client that trusts `ca` alone accepts the server under that name. */
async function handshake({ cert, key }: Certificates, ca: string, servername: string): Promise<void> {
  const server = createServer({ cert, key, minVersion: 'TLSv1.2' }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca, servername }, () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}

async function aState(): Promise<StateDirectory> {
  return StateDirectory.open(await temporaryDirectory())
}

describe('the certificates', () => {
  it.for(['localhost', 'box.example'])(
    'are accepted as %s by a client that trusts the CA file',
    async (name) => {
      const certificates = await provideCertificates(await aState(), Date.now, ['box.example'])
      await handshake(certificates, await readFile(certificates.caPath, 'utf8'), name)
    },
  )

  it('are not accepted under another name', async () => {
    const certificates = await provideCertificates(await aState(), Date.now, [])
    await expect(handshake(certificates, certificates.ca, 'example.com')).rejects.toThrow(/altnames/)
  })

  it('are not accepted by a client that trusts another CA', async () => {
    const [ours, others] = [await aState(), await aState()]
    const certificates = await provideCertificates(ours, Date.now, [])
    const { ca } = await provideCertificates(others, Date.now, [])
    await expect(handshake(certificates, ca, 'localhost')).rejects.toThrow(/certificate/)
  })

  it('name both addresses of the loopback', async () => {
    const { cert } = await provideCertificates(await aState(), Date.now, [])
    const certificate = new X509Certificate(cert)
    expect([certificate.checkIP('127.0.0.1'), certificate.checkIP('::1')]).toEqual(['127.0.0.1', '::1'])
    expect(certificate.checkIP('10.0.0.1')).toBeUndefined()
  })

  it('stay the same over a restart', async () => {
    const state = await aState()
    const first = await provideCertificates(state, Date.now, ['box.example'])
    expect(await provideCertificates(state, Date.now, ['box.example'])).toEqual(first)
  })

  it('are renewed under the same CA before they expire, and when the machine is called otherwise', async () => {
    const state = await aState()
    const first = await provideCertificates(state, Date.now, ['box.example'])
    const later = await provideCertificates(state, () => Date.now() + 380 * dayMs, ['box.example'])
    const renamed = await provideCertificates(state, Date.now, ['new.example'])
    expect(later.ca).toBe(first.ca)
    expect(new Set([first.cert, later.cert, renamed.cert]).size).toBe(3)
  })

  it('are signed anew when the CA was deleted', async () => {
    const state = await aState()
    await provideCertificates(state, Date.now, [])
    await rm(state.pathOf('ca.pem'))
    const certificates = await provideCertificates(state, Date.now, [])
    await handshake(certificates, certificates.ca, 'localhost')
  })

  it.for([
    ['server.pem', 'nonsense'],
    ['server-key.pem', generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })],
  ] as const)('that are damaged are named, with what to do: %s', async ([file, text]) => {
    const state = await aState()
    await provideCertificates(state, Date.now, [])
    await writeFile(state.pathOf(file), text)
    await expect(provideCertificates(state, Date.now, [])).rejects.toMatchObject({
      code: 'record-damaged',
      message: expect.stringMatching(/server\.pem or .*server-key\.pem is damaged.*delete ca\.pem/),
    })
  })
})
