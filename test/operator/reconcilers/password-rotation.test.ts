import { beforeEach, describe, expect, test } from 'vitest'
import { secretKindOf } from '#core/credentials/secret.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import type { MqttUserStatus } from '#core/resources/mqtt-user.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }
const rotation = { interval: '24h', overlap: '10m' }
const minute = 60_000
const hour = 60 * minute

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

const verifiers = async (): Promise<UserRecord['verifiers'] | undefined> =>
  (await world.store.get('user', org, 'ada'))?.verifiers
const password = (): string => world.host.secrets.get('default/ada-mqtt')?.data['password'] ?? ''
const of = (secret: string): UserRecord['verifiers'][number] => ({
  verifier: verifierOfGenerated(secret, { kind: 'user', name: `ada@${org}` }),
})
const status = (): MqttUserStatus => world.host.get('MqttUser', 'default', 'ada')?.status ?? {}
const reasons = (): string[] => world.host.events.map(({ reason }) => reason)
const iso = (at: number): string => new Date(at).toISOString()

/** So much later, as the timer that was asked for brings it. */
async function look(afterMs = 0): Promise<number | undefined> {
  world.now += afterMs
  const of = { namespace: 'default', name: 'ada' }
  return (await world.reconcilers.byKind.MqttUser.reconcile(of)).againAfterMs
}

describe('a generated password that is rotated', () => {
  beforeEach(async () => world.apply(aUserResource('ada', { ...lists, rotation })))

  test('stays until its time has come', async () => {
    const first = password()
    expect(status().lastRotationTime).toBe(iso(world.now))
    expect(await look()).toBe(24 * hour)
    expect(await look(24 * hour - 1)).toBe(1)
    expect(password()).toBe(first)
    expect(await verifiers()).toEqual([of(first)])
    expect(reasons()).not.toContain('PasswordRotated')
  })

  test('is another one then, and both let in until the overlap ends', async () => {
    const first = password()
    const again = await look(24 * hour)
    const rotatedAt = world.now
    const second = password()
    expect(second).not.toBe(first)
    expect(secretKindOf(second)).toBe('mp')
    expect(await verifiers()).toEqual([of(second), { ...of(first), notAfter: rotatedAt + 10 * minute }])
    expect(status()).toMatchObject({
      lastRotationTime: iso(rotatedAt),
      previousPasswordExpiry: iso(rotatedAt + 10 * minute),
      secretResourceVersion: world.host.secrets.get('default/ada-mqtt')?.version,
    })
    expect(world.host.events.at(-1)).toMatchObject({
      type: 'Normal',
      reason: 'PasswordRotated',
      message: `Secret ada-mqtt has a new password; the former one lets in until ${iso(rotatedAt + 10 * minute)}`,
    })
    expect(again).toBeLessThan(10 * minute)
    expect(await look(10 * minute - 1)).toBe(1)
    expect(await verifiers()).toHaveLength(2)
    await look(1)
    expect(await verifiers()).toEqual([of(second)])
    expect(status()).not.toHaveProperty('previousPasswordExpiry')
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect(JSON.stringify(world.host.events)).not.toMatch(/cs_mp_/)
  })

  test('goes on over a restart of the operator and a Redis that lost everything', async () => {
    const first = password()
    await look(24 * hour)
    const both = await verifiers()
    world.now += minute
    await world.store.remove('user', org, 'ada')
    await world.restart()
    expect(await verifiers()).toEqual(both)
    expect(both).toHaveLength(2)
    await look(10 * minute)
    expect(await verifiers()).toEqual([of(password())])
    expect(password()).not.toBe(first)
  })

  test('once, however long nobody looked', async () => {
    await look(240 * hour)
    const second = password()
    await look(hour)
    expect(password()).toBe(second)
    expect(reasons().filter((reason) => reason === 'PasswordRotated')).toHaveLength(1)
  })

  test('by deleting its Secret, too', async () => {
    const first = password()
    world.host.secrets.delete('default/ada-mqtt')
    await world.secretChanged('ada-mqtt')
    expect(await verifiers()).toEqual([of(password()), { ...of(first), notAfter: world.now + 10 * minute }])
  })

  test('stays, and it is said, where the Secret can not be changed; the user works on', async () => {
    const first = password()
    world.host.updateFailure = new Error('secrets "ada-mqtt" is forbidden')
    expect(await look(24 * hour)).toBe(minute)
    expect(password()).toBe(first)
    expect(await verifiers()).toEqual([of(first)])
    expect(world.host.events.at(-1)).toMatchObject({ type: 'Warning', reason: 'RotationFailed' })
    world.host.updateFailure = undefined
    await look(minute)
    expect(await verifiers()).toHaveLength(2)
  })

  test('has a state that cannot be read begun anew, without a rotation', async () => {
    const first = password()
    const secret = world.host.secrets.get('default/ada-mqtt')
    world.host.putSecret(
      'default',
      'ada-mqtt',
      { ...secret?.data, rotation: '{"since":"?"}' },
      secret?.ownerUid,
    )
    await look(25 * hour)
    expect(password()).toBe(first)
    expect(status().lastRotationTime).toBe(iso(world.now))
    await look(24 * hour)
    expect(password()).not.toBe(first)
  })

  test('and whoever still used the former one is told of, from then on', async () => {
    await look(24 * hour)
    const rotatedAt = world.now
    await world.formerPasswords.mark(org, 'ada', rotatedAt + 3 * minute, rotatedAt + 10 * minute)
    await look(5 * minute)
    expect(status().previousPasswordLastUsed).toBe(iso(rotatedAt + 3 * minute))
    expect(world.host.events.at(-1)).toMatchObject({
      type: 'Warning',
      reason: 'FormerPasswordUsed',
      message: `the former password, which lets in for a while longer, was last used at ${iso(rotatedAt + 3 * minute)}`,
    })
    await look(5 * minute)
    expect(world.host.events.at(-1)?.message).toContain('which has ended')
    // Of the rotation before, it is no news.
    await look(24 * hour)
    expect(status()).not.toHaveProperty('previousPasswordLastUsed')
  })
})

describe('a password that is not rotated', () => {
  test('ends at once with its Secret where no rotation is asked for', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.secrets.delete('default/ada-mqtt')
    await world.secretChanged('ada-mqtt')
    expect(await verifiers()).toEqual([of(password())])
    expect(await look(1_000 * hour)).toBeUndefined()
    expect(world.host.secrets.get('default/ada-mqtt')?.data).not.toHaveProperty('rotation')
    expect(status()).not.toHaveProperty('lastRotationTime')
  })

  test('is counted from when rotation is asked for', async () => {
    await world.apply(aUserResource('ada', lists))
    const first = password()
    world.now += 240 * hour
    await world.apply(aUserResource('ada', { ...lists, rotation }))
    expect(password()).toBe(first)
    await look(24 * hour)
    expect(password()).not.toBe(first)
  })
})
