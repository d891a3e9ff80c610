/** What is known of a user's password after a start of the operator, without reading its Secret. */
import { beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }
const binding = { kind: 'user', name: `ada@${org}` } as const
const minute = 60_000

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

const ada = () => world.store.get('user', org, 'ada')
/** How many Secrets a start reads, and how many statuses it writes. */
const start = async (): Promise<readonly [reads: number, writes: number]> => {
  const { secretReads, statusWrites } = world.host
  await world.restart()
  return [world.host.secretReads - secretReads, world.host.statusWrites - statusWrites]
}

describe('a start', () => {
  test.each([
    ['a generated password', {}],
    ['one from a Secret of its own', { passwordSecretRef: { name: 'own' } }],
    ['one that is rotated', { rotation: { interval: '1h', overlap: '10m' } }],
  ])('reads no Secret of a user with %s, while all is as it was', async (_, spec) => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    await world.apply(aUserResource('ada', { ...lists, ...spec }))
    const before = await ada()
    expect(await start()).toEqual([0, 0])
    expect(await ada()).toEqual(before)
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
  })

  test('reads a Secret that was changed meanwhile', async () => {
    await world.apply(aUserResource('ada', lists))
    const password = generateSecret('mp')
    world.host.putSecret('default', 'ada-mqtt', { password }, 'uid-MqttUser-default-ada')
    expect((await start())[0]).toBe(1)
    expect((await ada())?.verifiers).toEqual([{ verifier: verifierOfGenerated(password, binding) }])
    expect(await start()).toEqual([0, 0])
  })

  test('reads the Secret of a user whose record is gone, or says another password than the status does', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = await ada()
    if (before === undefined) throw new Error('there is no record')
    await world.store.remove('user', org, 'ada')
    expect(await start()).toEqual([1, 0])
    const verifiers = [{ verifier: verifierOfGenerated(generateSecret('mp'), binding) }]
    await world.store.put('user', org, 'ada', { ...before, verifiers })
    expect(await start()).toEqual([1, 0])
    expect(await ada()).toEqual(before)
    await world.store.put('user', org, 'ada', { ...before, verifiers: [...before.verifiers, ...verifiers] })
    expect(await start()).toEqual([1, 0])
    expect(await ada()).toEqual(before)
  })

  test('reads the Secret of a user that was changed meanwhile, or whose status an earlier release wrote', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse', other: generateSecret('mp') })
    await world.apply(aUserResource('ada', { ...lists, passwordSecretRef: { name: 'own' } }))
    const user = world.host.get('MqttUser', 'default', 'ada')
    if (user === undefined) throw new Error('there is no ada')
    const spec = { ...user.spec, passwordSecretRef: { name: 'own', key: 'other' } }
    world.host.put({ ...user, spec, metadata: { ...user.metadata, generation: 2 } })
    expect((await start())[0]).toBe(1)
    expect((await ada())?.verifiers[0]?.verifier.algorithm).toBe('sha256')
    const present = world.host.get('MqttUser', 'default', 'ada')
    const { passwordFingerprint: _, ...status } = present?.status ?? {}
    world.host.put({ ...user, ...present, status } as typeof user)
    expect(await start()).toEqual([1, 1])
    expect(await start()).toEqual([0, 0])
  })

  test('in an overlap knows the former password and when it ends, and rotates again in time', async () => {
    await world.apply(aUserResource('ada', { ...lists, rotation: { interval: '1h', overlap: '10m' } }))
    world.now += 61 * minute
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    const rotated = await ada()
    expect(rotated?.verifiers).toHaveLength(2)
    expect(await start()).toEqual([0, 0])
    expect(await ada()).toEqual(rotated)
    world.now += 11 * minute
    expect(await start()).toEqual([0, 1])
    expect((await ada())?.verifiers).toEqual(rotated?.verifiers.slice(0, 1))
    world.now += 50 * minute
    await start()
    expect((await ada())?.verifiers[0]).not.toEqual(rotated?.verifiers[0])
  })
})
