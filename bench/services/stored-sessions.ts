import mqtt, { type MqttClient } from 'mqtt'
import { startOurs } from '../brokers/ours.ts'
import type { Target } from '../brokers/target.ts'
import { inParallel } from '../in-parallel.ts'
import type { StoredBytes } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'
import { RedisMeter } from './redis-meter.ts'

/** Of each session. */
const subscriptions = 5
/** That wait for each session. */
const messages = 5
const atOnce = 50
/** Payloads, so that one can see what a message takes beside its own. */
const sizes = [256, 1024] as const

/** What a broker writes for clients who come, subscribe, go, and are sent messages meanwhile. */
export async function measureSessions(bench: Workbench, clients: number): Promise<StoredBytes> {
  const target = await startOurs(bench)
  const meter = await RedisMeter.at(target.redisUrl ?? '')
  const publisher = await connected(target, 'publisher', true)
  const settle = (): Promise<void> => publisher.publishAsync('bench/settled', '', { qos: 1 }).then(() => {})
  // What there is once, such as scripts, is there before anything is counted.
  await rehearse(target, publisher)

  const connectAll = (id: string, clean: boolean): Promise<readonly MqttClient[]> =>
    inParallel(atOnce, clients, (index) => connected(target, `${id}-${index}`, clean, index))
  const endAll = (all: readonly MqttClient[]): Promise<unknown> =>
    inParallel(atOnce, all.length, async (index) => all[index]?.endAsync())

  let open: readonly MqttClient[] = []
  const bytes: Record<string, number> = {}
  bytes['connection'] = await meter.each(clients, async () => {
    open = await connectAll('clean', true)
  })
  await endAll(open)
  bytes['session'] = await meter.each(clients, async () => {
    open = await connectAll('session', false)
    await endAll(open)
    await settle()
  })
  bytes['subscription'] = await meter.each(clients * subscriptions, async () => {
    open = await connectAll('session', false)
    await inParallel(atOnce, clients, async (index) => {
      const topics = Array.from({ length: subscriptions - 1 }, (_, one) => `bench/${index}/of-its-own/${one}`)
      await open[index]?.subscribeAsync([...topics, 'bench/for/all'], { qos: 1 })
    })
    await endAll(open)
    await settle()
  })
  for (const size of sizes) {
    bytes[`queued message of ${size} bytes`] = await meter.each(clients * messages, async () => {
      for (let index = 0; index < messages; index += 1)
        await publisher.publishAsync('bench/for/all', Buffer.alloc(size, 'x'), { qos: 1 })
    })
  }
  for (const size of sizes) {
    const topics = clients * 4
    bytes[`retained message of ${size} bytes`] = await meter.each(topics, async () => {
      await inParallel(atOnce, topics, (index) =>
        publisher.publishAsync(`bench/retained-${size}/${index}/state`, Buffer.alloc(size, 'x'), {
          qos: 1,
          retain: true,
        }),
      )
    })
  }
  await publisher.endAsync()
  await meter.close()
  await target.stop()
  return bytes
}

async function rehearse(target: Target, publisher: MqttClient): Promise<void> {
  const client = await connected(target, 'rehearsal', false)
  await client.subscribeAsync('bench/rehearsal', { qos: 1 })
  await client.endAsync()
  await publisher.publishAsync('bench/rehearsal', 'x', { qos: 1, retain: true })
}

function connected(target: Target, clientId: string, clean: boolean, index = 0): Promise<MqttClient> {
  const { user = '', password = '', users = 1 } = target.login ?? {}
  return mqtt.connectAsync(`mqtt://127.0.0.1:${target.publish}`, {
    protocolVersion: 5,
    clientId,
    clean,
    username: user.replace('%d', String(index % users)),
    password,
    reconnectPeriod: 0,
    ...(clean ? {} : { properties: { sessionExpiryInterval: 3600 } }),
  })
}
