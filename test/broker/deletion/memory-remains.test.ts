/** The same in one process, without Redis. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { isPurged } from '#core/stores/purge-marks.ts'
import {
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
  useClients,
} from '../../fixtures/broker.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { memoryCluster } from '../../../broker/organizations/cluster.ts'
import { aMessage } from '../../fixtures/messages.ts'
import {
  anOrganization,
  anOrganizationId as org,
  anotherOrganizationId as other,
} from '../../fixtures/records.ts'

let broker: TestBroker
let purges: MemoryPurgeMarks
const connectTo = useClients()
beforeEach(async () => {
  purges = new MemoryPurgeMarks()
  broker = await startTestBroker({ purges, purgeSettleMs: 100 })
})
afterEach(() => broker.stop())

const connect = (clientId: string, organization = org, local = 'ada'): Promise<TestClient> =>
  connectTo(`mqtt://127.0.0.1:${broker.port}`, local, {
    organization,
    clientId,
    clean: false,
    protocolVersion: 5,
    properties: { sessionExpiryInterval: 3_600 },
  })

async function use(organization = org, retain = false): Promise<void> {
  await broker.addOrganization(retain ? { retain } : {}, organization)
  await broker.addUser('ada', everything, {}, organization)
  const client = await connect('waits', organization)
  await client.mqtt.subscribeAsync('news/#', { qos: 1 })
  await client.mqtt.publishAsync('news/1', 'kept', { qos: 1, retain: true })
  await client.end()
}
async function remove(): Promise<void> {
  await broker.identities.remove('organization', org, 'organization')
  await broker.identities.remove('user', org, 'ada')
  await eventually('it is removed', async () => {
    const tombstone = await broker.identities.tombstoneOf(org)
    return tombstone !== undefined && isPurged(await purges.of(org), tombstone)
  })
}
const retainedFor = async (organization = org): Promise<string[]> => {
  const client = await connect('reads', organization)
  await client.mqtt.subscribeAsync('news/1', { qos: 1 })
  await client.mqtt.publishAsync('news/1', 'end', { qos: 1 })
  await eventually('it has read', () => client.received.some(({ payload }) => payload === 'end'))
  return client.received.map(({ payload }) => payload)
}

test('an organization that is deleted leaves nothing to one of its name, and another keeps all', async () => {
  await use()
  await use(other)
  await broker.addCredential('tmp_1', everything, 600)
  await remove()
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  const anew = await connect('waits')
  expect(anew.sessionPresent).toBe(false)
  expect(await retainedFor()).toEqual(['end'])
  expect(await broker.credentials.get(org, 'tmp_1')).toBeUndefined()
  expect((await connect('waits', other)).sessionPresent).toBe(true)
  expect(await retainedFor(other)).toEqual(['kept', 'end'])
})

test('one that retains leaves sessions and messages, and no credential', async () => {
  await use(org, true)
  await broker.addCredential('tmp_1', everything, 600)
  await remove()
  expect(await broker.credentials.get(org, 'tmp_1')).toBeUndefined()
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  expect((await connect('waits')).sessionPresent).toBe(true)
  expect(await retainedFor()).toEqual(['kept', 'end'])
})

test('nothing goes of an organization that has come in the place of the one that is gone', async () => {
  const identities = new MemoryIdentityStore(new MemoryControlLog())
  const forgotten: string[] = []
  const forgetCredentials = ({ id }: { readonly id: string }): void => void forgotten.push(id)
  const cluster = memoryCluster(undefined, { identities, forgetCredentials })
  const persistence = cluster.persistence(org)
  await persistence.storeRetained(aMessage({ topic: 'news', retain: true }))
  const bury = async () => {
    await identities.put('organization', org, 'organization', anOrganization())
    await identities.remove('organization', org, 'organization')
    return (await identities.tombstoneOf(org)) ?? Promise.reject(new Error('there is no tombstone'))
  }
  const left = async (...tombstones: Parameters<typeof cluster.remains.remove>[0]) => {
    let steps = 0
    for await (const removed of cluster.remains.remove(tombstones)) steps += removed
    const retained = await Array.fromAsync(persistence.createRetainedStreamCombi(['news']))
    return { steps, retained: retained.length, forgotten: forgotten.length }
  }
  const former = await bury()
  const present = await bury()
  expect(await left(former)).toEqual({ steps: 0, retained: 1, forgotten: 0 })
  expect(await left(former, present)).toEqual({ steps: 1, retained: 0, forgotten: 1 })
  expect(forgotten).toEqual([present.id])
})
