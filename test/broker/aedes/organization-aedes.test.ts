import { Aedes } from 'aedes'
import { afterEach, describe, expect, test } from 'vitest'
import type { AedesClient } from '../../../broker/aedes/aedes-client.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import { OrganizationAedes } from '../../../broker/aedes/organization-aedes.ts'
import { noOtherReplica } from '../../../broker/bus/no-other-replica.ts'
import { OrganizationEmitter } from '../../../broker/bus/organization-emitter.ts'
import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { anOrganizationId } from '../../fixtures/records.ts'

/** What this broker takes for granted of aedes 1.2.0; a new version has to pass before it is pinned. */
const open: OrganizationAedes[] = []

afterEach(async () => {
  for (const broker of open.splice(0)) await broker.close()
})

async function start(persistence = new MemoryPersistence()): Promise<OrganizationAedes> {
  const emitter = new OrganizationEmitter(noOtherReplica, anOrganizationId, () => {})
  const broker = await OrganizationAedes.create({ replica: 'r1', emitter, persistence, onError: () => {} })
  open.push(broker)
  return broker
}

function aClient(id: string): AedesClient & { closes: number } {
  return {
    id,
    clean: true,
    version: 4,
    closed: false,
    duplicates: {},
    deliverShared: () => {},
    lookForShared: () => {},
    closes: 0,
    close(done) {
      this.closes += 1
      for (const broker of open) broker.unregister(this)
      done?.()
    },
  }
}

function register(broker: OrganizationAedes, client: AedesClient, epoch: number): Promise<boolean> {
  broker.expect(client)
  return broker.register(client, epoch)
}

const message = (over: Partial<RoutedMessage> = {}): RoutedMessage => ({
  topic: 'a',
  payload: Buffer.from('x'),
  qos: 0,
  retain: false,
  brokerId: '',
  brokerCounter: 0,
  ...over,
})

describe('aedes', () => {
  test('has the fields that are used of its inside', async () => {
    const aedes = (await Aedes.createBroker()) as unknown as Record<string, unknown>
    expect(Object.getPrototypeOf(aedes['clients'])).toBeNull()
    for (const name of ['_heartbeatInterval', '_clearWillInterval'])
      expect(aedes[name]).toHaveProperty('hasRef')
    expect(aedes['counter']).toBeTypeOf('number')
    for (const name of ['publish', 'subscribe', 'unsubscribe']) {
      expect(aedes[name]).toBeTypeOf('function')
    }
    await new Promise<void>((resolve) => (aedes['close'] as (done: () => void) => void)(resolve))
  })

  test('names no message as it has named one before, also when the organization is opened again', async () => {
    const names: number[] = []
    for (let round = 0; round < 3; round += 1) {
      const broker = await start()
      await broker.subscribe('a', ({ brokerCounter }, done) => {
        names.push(brokerCounter)
        done()
      })
      const client = aClient('user:ada/x')
      await register(broker, client, 1)
      for (let index = 0; index < 3; index += 1) await broker.publish(message({ qos: 1 }), client)
      broker.unregister(client)
    }
    expect(names).toHaveLength(9)
    expect(names).toEqual([...new Set(names)].toSorted((left, right) => left - right))
  })

  test('names each message by replica and counter, and says who published it', async () => {
    const broker = await start()
    const seen: RoutedMessage[] = []
    await broker.subscribe('#', (given, done) => {
      seen.push(given)
      done()
    })
    const client = aClient('user:ada/x')
    await register(broker, client, 1)
    await broker.publish(message({ qos: 1 }), client)
    await broker.publish(message({ topic: 'b' }))
    const own = seen.filter(({ topic }) => !topic.startsWith('$'))
    expect(own[0]).toMatchObject({ topic: 'a', qos: 1, brokerId: 'r1', clientId: 'user:ada/x' })
    expect(own[1]?.clientId).toBeUndefined()
    expect(own[1]?.brokerCounter).toBeGreaterThan(own[0]?.brokerCounter ?? Infinity)
  })

  test('gives one and the same object to every filter that matches, one after the other', async () => {
    const broker = await start()
    const seen: unknown[] = []
    const deliver = (given: RoutedMessage, done: () => void): void => {
      seen.push(given)
      done()
    }
    for (const filter of ['a', '+', '#']) await broker.subscribe(filter, deliver)
    await broker.publish(message())
    await broker.publish(message())
    const own = seen.filter((given) => (given as RoutedMessage).topic === 'a')
    expect(own).toHaveLength(6)
    expect(new Set(own.slice(0, 3)).size).toBe(1)
    expect(new Set(own).size).toBe(2)
  })

  test('keeps properties on the way, and resolves after everyone is served', async () => {
    const broker = await start()
    const properties = Buffer.from([0x09, 0, 2, 0, 255])
    let given: RoutedMessage | undefined
    await broker.subscribe('a', (each, done) => {
      given = each
      done()
    })
    await broker.publish({ ...message(), properties })
    expect(given?.properties).toBe(properties)
  })

  test('queues for persistent subscriptions before it publishes', async () => {
    const persistence = new MemoryPersistence()
    const broker = await start(persistence)
    const owner = { id: 'user:bob/x' }
    await persistence.openSession(owner, false, 60)
    await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    let queued = -1
    await broker.subscribe('a', (_each, done) => {
      void waiting(persistence, owner).then((all) => {
        queued = all.length
        done()
      })
    })
    await broker.publish(message({ qos: 1 }))
    expect(queued).toBe(1)
    await broker.publish(message({ qos: 0 }))
    expect(await waiting(persistence, owner)).toHaveLength(1)
  })

  test('rejects a publish whose message can not be queued or retained', async () => {
    class Broken extends MemoryPersistence {
      override async storeRetained(): Promise<void> {
        throw new Error('away')
      }
    }
    const broker = await start(new Broken())
    await expect(broker.publish(message({ retain: true }))).rejects.toThrow('away')
    await broker.publish(message())
  })

  test('closes a former client of the same id before the new one is there, and forgets only its own', async () => {
    const broker = await start()
    const [former, latter] = [aClient('same'), aClient('same')]
    await register(broker, former, 1)
    await register(broker, latter, 2)
    expect([former.closes, latter.closes]).toEqual([1, 0])
    broker.unregister(former)
    await register(broker, aClient('same'), 3)
    expect(latter.closes).toBe(1)
  })

  test('lets the later of two claims win, whichever comes first', async () => {
    const broker = await start()
    const [later, earlier] = [aClient('same'), aClient('same')]
    for (const client of [later, earlier]) broker.expect(client)
    expect(await broker.register(later, 2)).toBe(true)
    expect(await broker.register(earlier, 1)).toBe(false)
    expect([later.closes, earlier.closes]).toEqual([0, 1])
  })

  test('hears of claims of other replicas, also while its own client still waits for its claim', async () => {
    const broker = await start()
    const [waiting, connected] = [aClient('a'), aClient('b')]
    broker.expect(waiting)
    await register(broker, connected, 5)
    for (const claim of ['7 a', '4 b', 'x b', '', '9']) {
      await broker.publish(message({ topic: '$SYS/r2/claims', payload: Buffer.from(claim) }))
    }
    expect([waiting.closes, connected.closes]).toEqual([0, 0])
    expect(await broker.register(waiting, 6)).toBe(false)
    await broker.publish(message({ topic: '$SYS/r2/claims', payload: Buffer.from('8 b') }))
    expect([waiting.closes, connected.closes]).toEqual([1, 1])
  })

  test('runs no timer that keeps a process alive or sweeps wills', async () => {
    const broker = await start()
    const aedes = (broker as unknown as { persistence: unknown }).persistence
    expect(aedes).toBeDefined()
    const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
    await start()
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toEqual(timers)
  })
})

async function waiting(persistence: MemoryPersistence, owner: { id: string }): Promise<readonly unknown[]> {
  return (await persistence.outgoingPage(owner, '', 100)).messages
}
