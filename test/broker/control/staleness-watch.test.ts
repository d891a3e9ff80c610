import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BrokerOptions } from '../../../broker/broker.ts'
import { connectClient, everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { deafControlLog } from '../../fixtures/deaf-control-log.ts'
import { eventually } from '../../fixtures/eventually.ts'

const mostMs = 10_000

describe('a replica that could not read the control log', () => {
  let staleness = 0
  let own: TestBroker
  let url: string
  const controlLog: BrokerOptions['controlLog'] = {
    ...deafControlLog,
    follow: async () => ({ staleness: () => staleness, close: async () => {} }),
  }

  beforeEach(async () => {
    staleness = 0
    own = await startTestBroker({ controlLog, maxStalenessMs: mostMs })
    await own.addOrganization()
    await own.addUser('ada', everything)
    url = `mqtt://127.0.0.1:${own.port}`
  })
  afterEach(() => own.stop())

  const connect = (): ReturnType<typeof connectClient> => connectClient(url, 'ada', { protocolVersion: 5 })

  test('for not too long serves as before', async () => {
    const ada = await connect()
    await ada.mqtt.subscribeAsync('news')
    staleness = mostMs
    const bob = await connect()
    await bob.mqtt.publishAsync('news', 'x', { qos: 1 })
    await eventually('the message is there', () => ada.received.length === 1)
    await Promise.all([ada.end(), bob.end()])
  })

  test('for too long delivers nothing more from that moment on, and sends everybody away', async () => {
    const [ada, bob] = [await connect(), await connect()]
    await ada.mqtt.subscribeAsync('news')
    staleness = mostMs + 1
    bob.mqtt.publish('news', 'x', { qos: 1 })
    await eventually('both are gone', () => ada.closed() && bob.closed())
    expect(ada.received).toEqual([])
    expect(bob.goodbyes).toEqual([0x89])
    await Promise.all([ada.end(), bob.end()])
  })

  test('for too long lets nobody in, until it can read again', async () => {
    staleness = mostMs + 1
    expect(own.broker.isStale()).toBe(true)
    await expect(connect()).rejects.toMatchObject({ code: 0x88 })
    staleness = 0
    await (await connect()).end()
  })
})
