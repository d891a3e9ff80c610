import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectClient, everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'
import { type Chromium, missingForChromium, startChromium } from '../../fixtures/chromium.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'
import { servePages } from '../../fixtures/served-pages.ts'

const missing = await missingForChromium()
if (missing !== undefined) console.warn(`NO BROWSER SPEAKS MQTT: ${missing}`)

/** What MQTT.js is for pages. */
const library = join(dirname(createRequire(import.meta.url).resolve('mqtt/package.json')), 'dist/mqtt.esm.js')

const page = (options: object): string => `<!doctype html>
<meta charset="utf-8"><link rel="icon" href="data:,">
<p id="state">…</p>
<script type="module">
  import mqtt from './mqtt.js'
  const say = (text) => { document.querySelector('#state').textContent = text }
  const { url, ...options } = ${JSON.stringify(options)}
  const client = mqtt.connect(url, { ...options, reconnectPeriod: 0 })
  client.on('error', (error) => say('refused ' + error.code))
  client.on('connect', async () => {
    await client.subscribeAsync('room/#', { qos: 2 })
    let come = 0
    client.on('message', (topic, payload) => {
      come += 1
      if (topic === 'room/end') say(come + ' came, the last of ' + payload.length)
    })
    for (let number = 0; number < 20; number += 1) {
      await client.publishAsync('room/' + number, 'x'.repeat(number), { qos: number % 3 })
    }
    await client.publishAsync('room/end', 'x'.repeat(500_000), { qos: 1 })
  })
</script>`

describe.skipIf(missing !== undefined)('in Chromium, MQTT.js over WSS', () => {
  let certificate: TestCertificate
  let broker: TestBroker
  let chromium: Chromium
  let pages: Awaited<ReturnType<typeof servePages>>
  let elsewhere: Awaited<ReturnType<typeof servePages>>

  const url = (): string => `wss://localhost:${broker.broker.ports.wss}/`
  const answer = async (path: string) => {
    if (path === '/mqtt.js') return { type: 'text/javascript', body: await readFile(library) }
    const options = {
      url: url(),
      protocolVersion: path === '/3.1.1' ? 4 : 5,
      username: `ada@${org}`,
      password: path === '/wrong' ? 'wrong' : 'ada-password',
    }
    return { type: 'text/html', body: page(options) }
  }

  beforeAll(async () => {
    certificate = await makeCertificate()
    const { cert, key } = certificate
    broker = await startTestBroker({ listeners: { wss: { host: '127.0.0.1', port: 0, cert, key } } })
    ;[pages, elsewhere] = await Promise.all([servePages(answer), servePages(answer)])
    await broker.addOrganization({ webSocketOrigins: [pages.url] })
    await broker.addUser('ada', everything)
    chromium = await startChromium()
  })
  afterAll(async () => {
    await chromium?.close()
    await Promise.all([pages?.close(), elsewhere?.close()])
    await broker?.stop()
    await certificate?.remove()
  })

  const stateOf = async (address: string): Promise<string> => {
    const opened = await chromium.open(address)
    return eventually(
      `it says something: ${opened.problems.join('\n')}`,
      async () => {
        const text = await opened.textOf('#state')
        return text !== '…' && text
      },
      15_000,
    )
  }

  test.each(['3.1.1', '5'])(
    'publishes and receives every QoS and large messages in MQTT %s',
    async (version) => {
      const watcher = await connectClient(url(), 'ada', { ca: certificate.cert, clientId: 'watcher' })
      await watcher.mqtt.subscribeAsync('room/end')
      expect(await stateOf(`${pages.url}/${version}`)).toBe('21 came, the last of 500000')
      await eventually('another client has it', () => watcher.received.length === 1)
      await watcher.end()
    },
  )

  test('is refused with a wrong password, and on a page from elsewhere with the right one', async () => {
    expect(await stateOf(`${pages.url}/wrong`)).toBe('refused 134')
    expect(await stateOf(`${elsewhere.url}/5`)).toBe('refused 135')
  })
})
