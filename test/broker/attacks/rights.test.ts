import type { ISubscribePacket } from 'mqtt-packet'
import { beforeEach, describe, expect, test } from 'vitest'
import { reason } from '../../../broker/wire/reason-codes.ts'
import { allow, everything } from '../../fixtures/broker.ts'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'
import { anotherOrganizationId } from '../../fixtures/records.ts'

/** Attack classes of who may read, write and be whom. Each mallory has a good password of her own. */
const { broker, raw, connected } = useRawBroker()
const message = { cmd: 'publish', topic: 'a', payload: 'secret', qos: 1, dup: false, retain: false } as const

const mallory = {
  clientId: 'mallory',
  username: 'mallory@org_k7xm4pqr2n5t',
  password: Buffer.from('mallory-password'),
}

beforeEach(async () => {
  await broker().addUser('mallory', [allow(['publish', 'subscribe'], 'users/{username}/#')])
})

function subscribe(client: RawClient, filters: readonly string[], version: 4 | 5 = 4): Promise<unknown> {
  const subscriptions = filters.map((topic) => ({ topic, qos: 1 as const }))
  const packet: ISubscribePacket = { cmd: 'subscribe', messageId: 1, subscriptions }
  return ask(client, packet, 'suback', version)
}

const greedyFilters = [
  '#',
  '+',
  '/#',
  '+/#',
  '+/+/+',
  '+/mallory/#',
  'users/#',
  'users/+/inbox',
  'users/mallory/../ada/#',
  'users//mallory/#',
  'users/mallory',
  'USERS/mallory/#',
  '$SYS/#',
  '$SYS/+/new/clients',
  '$share/g/#',
  '$share/g/users/ada/#',
  '$share/g',
  '$share//x',
  '$share/+/x',
  '$share/#',
  '$SHARE/g/#',
  '$queue/#',
  '$exclusive/a',
  '$local/#',
] as const

test.each(greedyFilters)('the filter %s of who may read one subtree gives nothing', async (filter) => {
  const client = await connected(5, mallory)
  const { granted } = (await subscribe(client, [filter], 5)) as { granted: number[] }
  // `users/mallory/#` holds `users/mallory` itself, and `..` is a level like any other.
  const isOwn = filter === 'users/mallory' || filter.startsWith('users/mallory/')
  if (isOwn) expect(granted).toEqual([1])
  else expect(granted[0]).toBeGreaterThanOrEqual(0x80)
  const ada = await connected(4)
  for (const topic of ['a', 'users/ada/inbox', 'x/mallory/x', 'a/b/c']) {
    await ask(ada, { ...message, topic, messageId: 1 }, 'puback')
  }
  await ask(client, { cmd: 'pingreq' }, 'pingresp', 5)
  expect(publishes(client)).toEqual([])
})

test('a foreign filter beside an own one is not remembered with the session', async () => {
  const stays = { ...mallory, clean: false }
  const first = await connected(4, stays)
  expect(await subscribe(first, ['users/mallory/x', 'users/ada/inbox', '#'])).toMatchObject({
    granted: [1, 0x80, 0x80],
  })
  first.send(encode({ cmd: 'disconnect' }))
  await first.untilClosed()
  const ada = await connected(4)
  await ask(ada, { ...message, topic: 'users/ada/inbox', messageId: 1 }, 'puback')
  await ask(ada, { ...message, topic: 'users/mallory/x', payload: 'own', messageId: 2 }, 'puback')
  const second = await connected(4, stays)
  await second.next('publish')
  await ask(second, { cmd: 'pingreq' }, 'pingresp')
  expect(publishes(second).map(({ topic }) => topic)).toEqual(['users/mallory/x'])
})

test.each(['$SYS/standalone/new/clients', '$SYS/x', '$share/g/a', '$cloudsignal/credential/expiring'])(
  'a PUBLISH to %s throws nobody out and reaches nobody',
  async (topic) => {
    const ada = await connected(4)
    await subscribe(ada, ['#'])
    const bob = await connected(5, {
      clientId: 'bob',
      username: 'bob@org_k7xm4pqr2n5t',
      password: Buffer.from('bob-password'),
    })
    const puback = await ask(bob, { ...message, topic, payload: 'user:ada/raw', messageId: 1 }, 'puback', 5)
    expect(puback).toMatchObject({ reasonCode: reason.notAuthorized })
    await ask(ada, { cmd: 'pingreq' }, 'pingresp')
    expect([ada.closed(), publishes(ada)]).toEqual([false, []])
  },
)

test('a will for a foreign topic is refused at CONNECT', async () => {
  for (const topic of ['users/ada/inbox', '$SYS/x', 'users/mallory/#', '']) {
    const client = await raw(4)
    const packet = connectBytes(4, { ...mallory, will: { topic: 'X', payload: Buffer.from('x') } })
    const at = packet.indexOf(Buffer.from('0001580001', 'hex'))
    const field = Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)])
    const body = Buffer.concat([packet.subarray(2, at), field, packet.subarray(at + 3)])
    client.send(Buffer.concat([Buffer.from([0x10, body.length]), body]))
    expect(await client.next('connack')).not.toMatchObject({ returnCode: 0 })
    await client.untilClosed()
  }
})

test.each([true, false])(
  'the client id of another user or organization takes nothing over, clean: %s',
  async (clean) => {
    await broker().addOrganization({}, anotherOrganizationId)
    await broker().addUser('ada', everything, {}, anotherOrganizationId)
    const victim = await connected(4, { clientId: 'same', clean: false })
    await subscribe(victim, ['inbox'])
    for (const over of [
      { ...mallory, clientId: 'same', clean },
      { clientId: 'same', clean, username: `ada@${anotherOrganizationId}` },
    ]) {
      const thief = await connected(4, over)
      expect(thief.packets[0]).toMatchObject({ returnCode: 0, sessionPresent: false })
      thief.destroy()
    }
    await ask(victim, { ...message, topic: 'inbox', messageId: 1 }, 'puback')
    await victim.next('publish')
    expect(victim.closed()).toBe(false)
  },
)

describe('a variable of an access list', () => {
  test.each(['+', '#', 'a/#', '+/x', ''])('that is the client id %j opens nothing more', async (clientId) => {
    await broker().addUser('eve', [allow(['publish', 'subscribe'], 'clients/{client_id}/#')])
    const over = { clientId, username: 'eve@org_k7xm4pqr2n5t', password: Buffer.from('eve-password') }
    const client = await connected(4, over)
    expect(await subscribe(client, ['clients/victim/#', 'clients/+/#', 'clients/#', '#'])).toMatchObject({
      granted: [0x80, 0x80, 0x80, 0x80],
    })
  })
})

test('a credential that is revoked, expired or whose organization is suspended is dead at the next CONNECT', async () => {
  const connack = async (local: string): Promise<number> => {
    const client = await raw(4)
    const username = `${local}@org_k7xm4pqr2n5t`
    client.send(connectBytes(4, { clientId: local, username, password: Buffer.from(`${local}-password`) }))
    return ((await client.next('connack')) as { returnCode: number }).returnCode
  }
  await broker().addCredential('tmp_1', everything, 60)
  await broker().addCredential('tmp_2', everything, 1)
  expect([await connack('tmp_1'), await connack('tmp_1'), await connack('tmp_2')]).toEqual([0, 0, 0])
  await broker().credentials.revoke('org_k7xm4pqr2n5t', 'tmp_1')
  expect(await connack('tmp_1')).toBe(4)
  await expect.poll(() => connack('tmp_2'), { timeout: 3_000, interval: 200 }).toBe(4)
  await broker().addOrganization({ suspended: true })
  expect(await connack('ada')).toBe(5)
})
