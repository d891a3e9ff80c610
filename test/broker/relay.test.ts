import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import mqtt from 'mqtt'
import { everything, startTestBroker } from '../fixtures/broker.ts'
import { anOrganizationId as org } from '../fixtures/records.ts'

const sum = (b: Buffer) => createHash('sha1').update(b).digest()
test('every message arrives as it was sent, whoever shares its bytes: versions, QoS, WebSocket, slow readers', async () => {
  const broker = await startTestBroker({
    listeners: { mqtt: { host: '127.0.0.1', port: 0 }, ws: { host: '127.0.0.1', port: 0 } },
  })
  await broker.addOrganization({})
  await broker.addUser('ada', everything)
  const urls = [`mqtt://127.0.0.1:${broker.broker.ports.mqtt}`, `ws://127.0.0.1:${broker.broker.ports.ws}`]
  let bad = 0
  let good = 0
  const connect = async (index: number) => {
    const client = mqtt.connect(urls[index % 2]!, {
      username: `ada@${org}`,
      password: 'ada-password',
      protocolVersion: index % 4 < 2 ? 4 : 5,
      clientId: `c${index}`,
      reconnectPeriod: 0,
      clean: index % 3 !== 0,
      properties: { sessionExpiryInterval: 60 },
    })
    await new Promise((resolve, reject) => (client.once('connect', resolve), client.once('error', reject)))
    return client
  }
  const subscribers = await Promise.all(Array.from({ length: 12 }, (_, i) => connect(i)))
  for (const [i, client] of subscribers.entries()) {
    client.on('message', (topic, payload) => {
      const body = payload.subarray(20)
      if (payload.subarray(0, 20).equals(sum(Buffer.concat([Buffer.from(topic), body])))) good += 1
      else bad += 1
    })
    await client.subscribeAsync('f/#', {
      qos: (i % 3) as 0 | 1 | 2,
      ...(i % 4 >= 2 && i % 5 === 0 ? { properties: { subscriptionIdentifier: 7 + i } } : {}),
    })
    // Some read slowly.
    if (i % 3 === 1) {
      const slow = setInterval(() => {
        client.stream.pause()
        setTimeout(() => client.stream.resume(), 30)
      }, 60)
      client.once('close', () => clearInterval(slow))
    }
  }
  const publishers = await Promise.all([0, 1, 2, 3].map((i) => connect(100 + i)))
  const end = performance.now() + 3_000
  await Promise.all(
    publishers.map(async (client, who) => {
      for (let n = 0; performance.now() < end; n += 1) {
        const some = Array.from({ length: 12 }, (_, k) => {
          const topic = `f/${who}/${(n + k) % 7}${'x'.repeat(n % 150)}`
          const body = randomBytes(
            Math.random() < 0.2 ? Math.floor(Math.random() * 40_000) : Math.floor(Math.random() * 300),
          )
          const payload = Buffer.concat([sum(Buffer.concat([Buffer.from(topic), body])), body])
          return client.publishAsync(topic, payload, {
            qos: Math.floor(Math.random() * 3) as 0 | 1 | 2,
            ...(who >= 2 && n % 2
              ? { properties: { userProperties: { a: 'b'.repeat(n % 90) }, messageExpiryInterval: 60 } }
              : {}),
          })
        })
        await Promise.all(some)
        await pause(10)
      }
    }),
  )
  await pause(1_000)
  for (const one of [...publishers, ...subscribers]) one.end(true)
  await broker.stop()
  expect(bad).toBe(0)
  expect(good).toBeGreaterThan(100)
}, 60_000)
