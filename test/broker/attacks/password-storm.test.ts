import { beforeAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Verifier, verifierOfChosen } from '#core/credentials/verifier.ts'
import type { BrokerOptions } from '../../../broker/broker.ts'
import { reason } from '../../../broker/wire/reason-codes.ts'
import { type CapturingAudit, capturingAudit } from '../../fixtures/audit.ts'
import { everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { ask } from '../../fixtures/raw-broker.ts'
import { connectBytes, rawClient, type RawClient } from '../../fixtures/raw-client.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

/** Attack class: passwords that people chose, which are dear to look at, by the hundred. */
let broker: TestBroker
let audited: CapturingAudit
let chosen: Verifier
const clients: RawClient[] = []

async function start(over: Partial<BrokerOptions> = {}): Promise<void> {
  audited = capturingAudit()
  broker = await startTestBroker({
    audit: audited.audit,
    limits: { refusalMs: 0, throttledMs: 0 },
    throttle: { perClient: 20, perName: 0, perAddress: 0 },
    ...over,
  })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  for (const name of ['human', 'other']) await addHuman(name, chosen)
}
const addHuman = (name: string, verifier: Verifier): Promise<void> =>
  broker.addUser(name, everything, { verifiers: [{ verifier }] })

beforeAll(async () => {
  chosen = await verifierOfChosen('correct horse')
})
beforeEach(() => start())
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await broker.stop()
})

async function codeOf(name: string, password: string, version: 4 | 5 = 5): Promise<number> {
  const client = await rawClient(broker.port, version)
  clients.push(client)
  const clientId = `c${clients.length}`
  client.send(
    connectBytes(version, { username: `${name}@${org}`, password: Buffer.from(password), clientId }),
  )
  const { returnCode, reasonCode } = (await client.next('connack')) as Record<
    'returnCode' | 'reasonCode',
    number
  >
  return version === 5 ? reasonCode : returnCode
}
const reasons = async (): Promise<string[]> => Object.keys(await audited.counted())

describe('a storm of people who come back', () => {
  test('is let in, each of them, while others are served', async () => {
    await codeOf('ada', 'ada-password')
    const storm = Promise.all(Array.from({ length: 200 }, () => codeOf('human', 'correct horse')))
    const [ada] = clients
    for (let round = 0; round < 5; round += 1) await ask(ada as RawClient, { cmd: 'pingreq' }, 'pingresp')
    expect(new Set(await storm)).toEqual(new Set([0]))
  })

  test('does not bring in whose password was changed meanwhile, nor who was suspended', async () => {
    expect(await codeOf('human', 'correct horse')).toBe(0)
    await addHuman('human', await verifierOfChosen('battery staple'))
    expect(await codeOf('human', 'correct horse')).toBe(reason.badUserNameOrPassword)
    expect(await codeOf('human', 'battery staple')).toBe(0)
    await broker.addUser('other', everything, { verifiers: [{ verifier: chosen }], suspended: true })
    expect(await codeOf('other', 'correct horse')).toBe(reason.notAuthorized)
  })
})

describe('a storm of guesses at people', () => {
  const guesses = (count: number, version: 4 | 5 = 5): Promise<number[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => codeOf('human', `guess ${index}`, version)))

  beforeEach(async () => {
    await broker.stop()
    await start({ passwordChecks: { hashing: 1, waiting: 8, ofName: 4 } })
  })

  test('is answered busy beyond what can be looked at, which counts against nobody', async () => {
    const codes = await guesses(40)
    expect(new Set(codes)).toEqual(new Set([reason.badUserNameOrPassword, reason.serverBusy]))
    expect(await reasons()).toEqual(
      expect.arrayContaining([`client.refused busy ${org}`, `client.refused wrong-password ${org}`]),
    )
    expect(await reasons()).not.toContain(`client.refused throttled-name ${org}`)
    // Too few of them were looked at to be too many.
    expect(await codeOf('human', 'correct horse')).toBe(0)
    expect(new Set(await guesses(10, 4))).toEqual(new Set([4, 3]))
  })

  test('keeps neither somebody else nor a generated password out', async () => {
    const storm = guesses(40)
    expect(await codeOf('ada', 'ada-password')).toBe(0)
    expect(await codeOf('other', 'correct horse')).toBe(0)
    await storm
  })
})
