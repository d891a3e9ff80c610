import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { BrokerOptions } from '../../broker/broker.ts'
import { connectClient, everything, startTestBroker, type TestBroker } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { connectBytes, encode, rawClient } from '../fixtures/raw-client.ts'

let broker: TestBroker

afterEach(() => broker.stop())

async function start(over: Partial<BrokerOptions> = {}): Promise<string> {
  broker = await startTestBroker(over)
  await broker.addOrganization()
  for (const local of ['ada', 'bob']) await broker.addUser(local, everything)
  return `mqtt://127.0.0.1:${broker.port}`
}

const atOnce = { delayMs: 0, overMs: 0 }

describe('a broker that shuts down', () => {
  test('tells MQTT 5 clients so, closes those of 3.1.1, and takes nobody any more', async () => {
    const url = await start()
    const five = await connectClient(url, 'ada', { protocolVersion: 5 })
    const four = await connectClient(url, 'bob')
    await broker.broker.drain(atOnce)
    await eventually('both are gone', () => five.closed() && four.closed())
    expect(five.goodbyes).toEqual([0x8b])
    await expect(connectClient(url, 'ada')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('names another server where it was given one (MQTT 5 §4.11)', async () => {
    await start({ serverReference: 'other.example.com:8883' })
    const client = await rawClient(broker.port, 5)
    client.send(connectBytes(5))
    await client.next('connack')
    await broker.broker.drain(atOnce)
    expect(await client.next('disconnect')).toMatchObject({
      reasonCode: 0x9c,
      properties: { serverReference: 'other.example.com:8883' },
    })
  })

  test('lets clients in until load balancers have heard of it', async () => {
    const url = await start()
    const draining = broker.broker.drain({ delayMs: 400, overMs: 0 })
    const late = await connectClient(url, 'ada', { protocolVersion: 5 })
    expect(late.closed()).toBe(false)
    await draining
    await eventually('it is gone', () => late.closed())
    expect(late.goodbyes).toEqual([0x8b])
  })

  test('sends many away in steps', async () => {
    const url = await start()
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, index) => connectClient(url, 'ada', { clientId: `c${index}` })),
    )
    const draining = broker.broker.drain({ delayMs: 0, overMs: 1_000 })
    await eventually('some are gone', () => clients.some((client) => client.closed()))
    expect(clients.some((client) => !client.closed())).toBe(true)
    await draining
    await eventually('all are gone', () => clients.every((client) => client.closed()))
  })

  test('acknowledges what was published before it says goodbye', async () => {
    const url = await start()
    const publisher = await connectClient(url, 'ada', { protocolVersion: 5 })
    const published = Array.from({ length: 50 }, (_, index) =>
      publisher.mqtt.publishAsync('a', String(index), { qos: 1 }),
    )
    await Promise.race(published)
    await broker.broker.drain(atOnce)
    expect((await Promise.allSettled(published)).map(({ status }) => status)).toEqual(
      published.map(() => 'fulfilled'),
    )
  })

  test('waits for a client that has yet to take what is queued for it, but not for ever', async () => {
    const url = await start({ limits: { maxInflight: 1, retireMs: 600 } })
    const [slow, silent] = [await rawClient(broker.port), await rawClient(broker.port)]
    for (const [index, client] of [slow, silent].entries()) {
      client.send(connectBytes(4, { clientId: `raw-${index}` }))
      await client.next('connack')
      const subscriptions = [{ topic: 'a', qos: 1 as const }]
      client.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions }))
      await client.next('suback')
    }
    const publisher = await connectClient(url, 'bob')
    for (const text of ['1', '2']) await publisher.mqtt.publishAsync('a', text, { qos: 1 })
    await silent.next('publish')
    const draining = broker.broker.drain(atOnce)
    await pause(100)
    const first = (await slow.next('publish')) as { messageId?: number }
    slow.send(encode({ cmd: 'puback', messageId: first.messageId ?? 0 }))
    const second = await slow.nextAfter('publish', slow.packets.findIndex(({ cmd }) => cmd === 'publish') + 1)
    expect(String((second as { payload?: Buffer }).payload)).toBe('2')
    await draining
    await Promise.all([slow.untilClosed(), silent.untilClosed()])
    expect(silent.packets.filter(({ cmd }) => cmd === 'publish')).toHaveLength(1)
  })
})
