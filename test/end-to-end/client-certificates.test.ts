import { once } from 'node:events'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type TestClient, useClients } from '../fixtures/broker.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import { type CertificatePair, issueClient, makeAuthority } from '../fixtures/client-certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { connectBytes } from '../fixtures/raw-client.ts'
import { anOrganization, anOrganizationId as org } from '../fixtures/records.ts'
import { putUser } from '../fixtures/stored-users.ts'

let all: BrokerReplicas
let [own, others]: CertificatePair[] = []
let ada: CertificatePair

beforeAll(async () => {
  ;[all, own, others] = await Promise.all([
    startBrokerReplicas(),
    makeAuthority('own'),
    makeAuthority('others'),
  ])
  ada = await issueClient(own, 'ada')
  await putAuthorities(own)
  await putUser(all.identities, 'ada')
  await all.identities.markReady()
})
afterAll(() => all?.stop())

async function putAuthorities(...authorities: (CertificatePair | undefined)[]): Promise<void> {
  const clientAuthorities = authorities.map((each) => each?.cert ?? '')
  await all.identities.put('organization', org, 'organization', anOrganization({ clientAuthorities }))
}

const connectTo = useClients()
const withCertificate = (): object => ({ cert: ada.cert, key: ada.key, password: undefined })
const port = (replica: number): number => all.replicas[replica]?.mqtts ?? 0
const connect = (replica: number, clientId: string, over: object = withCertificate()): Promise<TestClient> =>
  connectTo(`mqtts://127.0.0.1:${port(replica)}`, 'ada', { ca: all.certificate.cert, clientId, ...over })

/** What CONNACK says, and the TLS session, of a client that goes on with another one where it is given. */
async function codeOf(
  replica: number,
  session?: Buffer,
): Promise<{ code?: number; session?: Buffer; reused: boolean }> {
  const { cert, key } = ada
  const socket: TLSSocket = connectTls({
    port: port(replica),
    host: '127.0.0.1',
    servername: 'localhost',
    ca: all.certificate.cert,
    cert,
    key,
    ...(session === undefined ? {} : { session }),
  })
  let ticket: Buffer | undefined
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', (packet) => packets.push(packet))
  socket.on('session', (given: Buffer) => (ticket = given))
  socket.on('data', (bytes: Buffer) => parser.parse(bytes))
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  const reused = socket.isSessionReused()
  socket.write(connectBytes(4, { clientId: 'resuming', password: undefined as never }))
  const connack = await eventually('it is answered', () => packets.find(({ cmd }) => cmd === 'connack'))
  socket.destroy()
  return {
    reused,
    ...(ticket && { session: ticket }),
    ...('returnCode' in connack && { code: Number(connack.returnCode) }),
  }
}

describe('an authority that is taken out of its organization, with two replicas on Redis', () => {
  beforeEach(() => putAuthorities(own))

  test('ends who came by it on both within a second, and lets nobody in any more', async () => {
    await eventually('both ask for certificates', async () =>
      (await Promise.all([0, 1].map((each) => codeOf(each)))).every(({ code }) => code === 0),
    )
    const byCertificate = await Promise.all(
      [0, 1].map((replica) => connect(replica, `by-certificate-${replica}`)),
    )
    const byPassword = await Promise.all(
      [0, 1].map((replica) => connect(replica, `by-password-${replica}`, {})),
    )
    const sessions = await Promise.all([0, 1].map(async (replica) => (await codeOf(replica)).session))

    await putAuthorities(others)
    const begin = performance.now()
    await eventually('both are closed', () => byCertificate.every((client) => client.closed()))
    expect(performance.now() - begin).toBeLessThan(1_000)
    for (const replica of [0, 1]) {
      await expect(connect(replica, 'again')).rejects.toMatchObject({ code: 4 })
      // A TLS session of before carries the certificate, and no right.
      expect(await codeOf(replica, sessions[replica])).toMatchObject({ code: 4, reused: true })
    }
    expect(byPassword.some((client) => client.closed())).toBe(false)
  })

  test('lets them in again when it comes back, also by a TLS session of before', async () => {
    await eventually('both let in', async () =>
      (await Promise.all([0, 1].map((each) => codeOf(each)))).every(({ code }) => code === 0),
    )
    for (const replica of [0, 1]) {
      const { session } = await codeOf(replica)
      expect(await codeOf(replica, session)).toMatchObject({ code: 0, reused: true })
    }
  })
})
