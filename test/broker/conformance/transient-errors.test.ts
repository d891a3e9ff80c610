import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { untilReady } from '#core/stores/redis-connection.ts'
import type { TestBroker } from '../../fixtures/broker.ts'
import { fillWithAda, startBrokerOnRedis } from '../../fixtures/broker-on-redis.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { ask } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, rawClient } from '../../fixtures/raw-client.ts'
import { type SeverableWay, startSeverableWay } from '../../fixtures/severable-way.ts'

let place: ConnectedRedis
let way: SeverableWay
let own: Redis
let broker: TestBroker

beforeAll(async () => {
  place = await startConnectedRedis()
  way = await startSeverableWay(place.server.port)
  await fillWithAda(await place.connection())
  own = await place.connection(way.url)
  broker = await startBrokerOnRedis(own)
})
afterAll(async () => {
  way.mend()
  await broker.stop()
  way.stop()
  await place.stop()
})

test.each([4, 5] as const)(
  'with protocol level %i, a message that can not be stored now is not acknowledged, and its connection is closed [MQTT3-4.8.0-2]',
  async (version) => {
    const connect = async (clientId: string, clean: boolean) => {
      const client = await rawClient(broker.port, version)
      const expiry = clean || version === 4 ? {} : { properties: { sessionExpiryInterval: 60 } }
      client.send(connectBytes(version, { clientId, clean, password: Buffer.from('old'), ...expiry }))
      await client.next('connack')
      return client
    }
    const away = await connect('away', false)
    const subscriptions = [{ topic: 'chat/1', qos: 1 as const }]
    await ask(away, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', version)
    away.destroy()
    const sender = await connect('sender', true)
    const message = {
      cmd: 'publish',
      topic: 'chat/1',
      payload: 'x',
      qos: 1,
      dup: false,
      retain: false,
    } as const
    await ask(sender, { ...message, messageId: 1 }, 'puback', version)
    way.cut()
    sender.send(encode({ ...message, messageId: 2 }, version))
    await sender.untilClosed()
    way.mend()
    await untilReady(own, AbortSignal.timeout(10_000))
    expect(sender.packets.filter(({ cmd }) => cmd === 'puback')).toHaveLength(1)
  },
)
