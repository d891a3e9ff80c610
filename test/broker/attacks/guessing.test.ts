import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifierOfChosen } from '#core/credentials/verifier.ts'
import type { BrokerOptions } from '../../../broker/broker.ts'
import { reason } from '../../../broker/wire/reason-codes.ts'
import { type CapturingAudit, capturingAudit } from '../../fixtures/audit.ts'
import { everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { durationsOf, evenEnough } from '../../fixtures/durations.ts'
import { ask } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../../fixtures/raw-client.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

/** Attack classes of who guesses names and passwords. */
let broker: TestBroker
let audited: CapturingAudit
let reads: number
const clients: RawClient[] = []

const [home, away] = ['127.0.0.1', '127.0.0.2']
const throttle = { perClient: 5, perName: 20, perAddress: 40 }

async function start(over: Partial<BrokerOptions> = {}): Promise<void> {
  audited = capturingAudit()
  broker = await startTestBroker({
    audit: audited.audit,
    throttle,
    limits: { refusalMs: 0, throttledMs: 0 },
    ...over,
  })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  await broker.addUser('bob', everything)
  reads = 0
  const { get } = broker.identities
  broker.identities.get = ((...parameters: Parameters<typeof get>) => {
    reads += 1
    return get.apply(broker.identities, parameters)
  }) as typeof get
}

beforeEach(() => start())
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await broker.stop()
})

interface Attempt {
  readonly from?: string
  readonly name?: string
  readonly password?: string
  readonly version?: 4 | 5
}

/** What CONNACK says, and the client behind it. */
async function attempt({
  from = home,
  name = 'ada',
  password = `${name}-password`,
  version = 4,
}: Attempt = {}) {
  const client = await rawClient(broker.port, version, from)
  clients.push(client)
  const over = { username: `${name}@${org}`, password: Buffer.from(password), clientId: `c${clients.length}` }
  client.send(connectBytes(version, over))
  const { returnCode, reasonCode } = (await client.next('connack')) as Record<
    'returnCode' | 'reasonCode',
    number
  >
  return { client, code: version === 5 ? reasonCode : returnCode }
}
const codeOf = async (given: Attempt): Promise<number> => (await attempt(given)).code

async function guess(count: number, given: Attempt = {}): Promise<number[]> {
  const codes: number[] = []
  for (let time = 0; time < count; time += 1)
    codes.push(await codeOf({ password: 'wrong', from: away, ...given }))
  return codes
}

/** From so many addresses, as often as each may. */
const attackFromEverywhere = (name: string): Promise<unknown> =>
  Promise.all([1, 2, 3, 4, 5].map((last) => guess(5, { name, from: `127.0.1.${last}` })))

describe('whoever guesses', () => {
  test('is told so until there were too many, and then that there are: nothing is read or hashed any more', async () => {
    expect(await guess(5)).toEqual([4, 4, 4, 4, 4])
    reads = 0
    expect(await guess(3)).toEqual([3, 3, 3])
    expect(await codeOf({ from: away, password: 'wrong', version: 5 })).toBe(reason.connectionRateExceeded)
    // Also with the right password.
    expect(await codeOf({ from: away })).toBe(3)
    expect(reads).toBe(0)
    expect(await audited.counted()).toEqual({
      [`client.refused wrong-password ${org}`]: 5,
      [`client.refused throttled-name ${org}`]: 5,
    })
  })

  test('at names that do not exist learns nothing from being held up', async () => {
    expect(await guess(7, { name: 'nobody' })).toEqual([4, 4, 4, 4, 4, 3, 3])
    expect(await guess(7, { name: 'bob', from: '127.0.0.3' })).toEqual([4, 4, 4, 4, 4, 3, 3])
  })

  test('at many names from one address is held up with all of them', async () => {
    for (let index = 0; index < 40; index += 1) await guess(1, { name: `user_${index}` })
    expect(await codeOf({ name: 'bob', from: away })).toBe(3)
    expect(await codeOf({ name: 'bob', from: home })).toBe(0)
  })
})

describe('a good device', () => {
  test('stays connected, and gets in again from its address, while its name is attacked from everywhere', async () => {
    const { client } = await attempt()
    await attackFromEverywhere('ada')
    expect(await codeOf({ from: '127.0.0.9' })).toBe(3)
    await ask(client, { cmd: 'pingreq' }, 'pingresp')
    expect(client.closed()).toBe(false)
    client.send(encode({ cmd: 'disconnect' }))
    await client.untilClosed()
    expect(await codeOf({})).toBe(0)
  })

  test('that has not been there yet is refused meanwhile, and no other device is', async () => {
    await attackFromEverywhere('ada')
    expect(await codeOf({})).toBe(3)
    expect(await codeOf({ name: 'bob' })).toBe(0)
  })

  test('gets in while others at its address fail', async () => {
    await attempt()
    for (let index = 0; index < 45; index += 1) await guess(1, { name: `user_${index}`, from: home })
    expect(await codeOf({ name: 'bob' })).toBe(3)
    expect(await codeOf({})).toBe(0)
  })

  test('that connects a thousand times is not held up: only failures count', async () => {
    for (let round = 0; round < 50; round += 1) {
      const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf({})))
      expect(new Set(codes)).toEqual(new Set([0]))
    }
  })
})

describe('the time that a refusal takes', () => {
  const timeOf = async (given: Attempt): Promise<number> => {
    const begin = performance.now()
    expect(await codeOf({ ...given, password: 'wrong' })).not.toBe(0)
    return performance.now() - begin
  }

  test('tells neither who is there, nor whose password a person chose', async () => {
    await broker.stop()
    await start({ throttle: { perClient: 0, perName: 0, perAddress: 0 }, limits: { refusalMs: 150 } })
    await broker.addUser('human', everything, { verifiers: [{ verifier: await verifierOfChosen('secret') }] })
    const names = ['ada', 'nobody', 'human', 'tmp_1']
    const { medians, ratio } = await durationsOf(
      names.map((name) => async () => void (await timeOf({ name }))),
    )
    expect(Math.min(...medians)).toBeGreaterThanOrEqual(145)
    expect(ratio).toBeLessThan(evenEnough)
  })

  test('is longer for one too many', async () => {
    await broker.stop()
    await start({ limits: { refusalMs: 0, throttledMs: 300 } })
    await guess(5)
    expect(await timeOf({ from: away })).toBeGreaterThanOrEqual(295)
    expect(await timeOf({})).toBeLessThan(250)
  })

  test('does not hold up a broker that ends', async () => {
    await broker.stop()
    await start({ limits: { refusalMs: 5_000 } })
    const client = await rawClient(broker.port)
    client.send(connectBytes(4, { password: Buffer.from('wrong') }))
    await expect.poll(() => audited.lines.length).toBe(1)
    const begin = performance.now()
    await broker.stop()
    expect(performance.now() - begin).toBeLessThan(2_000)
    await client.untilClosed()
    expect(client.packets).toEqual([])
    await start()
  })
})
