import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAuthorities } from '#core/organizations/client-authorities.ts'
import { connectClient, everything, startTestBroker, type TestBroker } from '../fixtures/broker.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { blockOf, readPage } from './page-blocks.ts'
import { shell } from './shell.ts'

let directory: string
let server: TestCertificate
let broker: TestBroker

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cloudsignal-certificates-'))
  server = await makeCertificate()
  const mqtts = { host: '127.0.0.1', port: 0, cert: server.cert, key: server.key }
  broker = await startTestBroker({ listeners: { mqtts } })
})
afterAll(async () => {
  await broker.stop()
  await server.remove()
  await rm(directory, { recursive: true, force: true })
})

test('a certificate that was issued as the page says lets its user in', async () => {
  const { blocks } = await readPage('client-certificates.md')
  await shell(`cd ${directory}\n${blockOf(blocks, 'issue')}`)
  const fileOf = (name: string): Promise<string> => readFile(join(directory, name), 'utf8')
  const read = readAuthorities(await fileOf('ca.crt'))
  expect(read).toHaveProperty('authorities')
  await broker.addOrganization({ clientAuthorities: 'authorities' in read ? [...read.authorities] : [] })
  await broker.addUser('sensor-01', everything)
  const client = await connectClient(`mqtts://127.0.0.1:${broker.broker.ports.mqtts}`, 'sensor-01', {
    ca: server.cert,
    cert: await fileOf('device.crt'),
    key: await fileOf('device.key'),
    password: undefined as never,
  })
  expect(client.closed()).toBe(false)
  await client.end()
})
