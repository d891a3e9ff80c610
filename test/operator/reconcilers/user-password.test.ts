/** Where the password of a user comes from. */
import { beforeEach, describe, expect, test } from 'vitest'
import { generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import { verifierOfChosen, verifierOfGenerated, verifySecret } from '#core/credentials/verifier.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }
const adaBinding = { kind: 'user', name: `ada@${org}` } as const

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

const ada = () => world.store.get('user', org, 'ada')

describe('a user without a password', () => {
  test('gets one in a Secret of its own, and may sign in with it', async () => {
    await world.apply(aUserResource('ada', lists))
    const secret = world.host.secrets.get('default/ada-mqtt')
    expect(secret).toMatchObject({
      type: 'kubernetes.io/basic-auth',
      ownerUid: 'uid-MqttUser-default-ada',
      data: {
        type: 'mqtt',
        username: `ada@${org}`,
        host: 'mqtt.example.com',
        port: '8883',
        uri: 'mqtts://mqtt.example.com:8883',
        'wss-uri': 'wss://mqtt.example.com:18885/',
      },
    })
    const password = secret?.data['password'] ?? ''
    expect(secretKindOf(password)).toBe('mp')
    const record = await ada()
    expect(record).toMatchObject({
      suspended: false,
      access: { lists: ['devices'], rules: [], ceilings: [] },
    })
    expect(record?.verifiers).toEqual([{ verifier: verifierOfGenerated(password, adaBinding) }])
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect(world.host.get('MqttUser', 'default', 'ada')?.status).toMatchObject({
      username: `ada@${org}`,
      credentialsSecret: { name: 'ada-mqtt' },
      secretResourceVersion: secret?.version,
      observedGeneration: 1,
    })
  })

  test('keeps it over a restart and over changes of the spec', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = world.host.secrets.get('default/ada-mqtt')
    await world.restart()
    await world.apply(aUserResource('ada', { ...lists, limits: { connections: 1 } }))
    expect(world.host.secrets.get('default/ada-mqtt')).toEqual(before)
    expect(world.host.secretCreations).toBe(1)
    expect((await ada())?.limits).toEqual({ connections: 1 })
  })

  test('keeps the one of a Secret that came from a backup, and takes none that was another’s', async () => {
    const data = { username: `ada@${org}`, password: generateSecret('mp') }
    const restored = { namespace: 'default', name: 'ada-mqtt', version: '1', data }
    world.host.secrets.set('default/ada-mqtt', { ...restored, restoredFor: 'MqttUser/bob' })
    await world.apply(aUserResource('ada', lists))
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretConflict')
    world.host.secrets.set('default/ada-mqtt', { ...restored, restoredFor: 'MqttUser/ada' })
    await world.secretChanged('ada-mqtt')
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect((await ada())?.verifiers).toEqual([{ verifier: verifierOfGenerated(data.password, adaBinding) }])
    expect(world.host.secrets.get('default/ada-mqtt')?.ownerUid).toBe('uid-MqttUser-default-ada')
  })

  test('gets another when the Secret is deleted', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = await ada()
    world.host.secrets.delete('default/ada-mqtt')
    await world.secretChanged('ada-mqtt')
    const password = world.host.secrets.get('default/ada-mqtt')?.data['password'] ?? ''
    const after = await ada()
    expect(after?.verifiers).toEqual([{ verifier: verifierOfGenerated(password, adaBinding) }])
    expect(after?.verifiers).not.toEqual(before?.verifiers)
  })

  test('is written again to a store that lost everything without its Secret being read, unless that changed', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = await ada()
    const reads = world.host.secretReads
    await world.store.remove('user', org, 'ada')
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    expect(await ada()).toEqual(before)
    expect(world.host.secretReads).toBe(reads)

    const password = generateSecret('mp')
    world.host.putSecret('default', 'ada-mqtt', { password }, 'uid-MqttUser-default-ada')
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    expect((await ada())?.verifiers).toEqual([{ verifier: verifierOfGenerated(password, adaBinding) }])
    expect(world.host.secretReads).toBe(reads + 1)
  })

  test('has its Secret read where the host knows nothing of it', async () => {
    await world.apply(aUserResource('ada', lists))
    const reads = world.host.secretReads
    world.host.knowsVersions = false
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    expect(world.host.secretReads).toBe(reads + 1)
  })

  test('is asked for no longer once the Secret belongs to somebody else', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.putSecret('default', 'ada-mqtt', { password: generateSecret('mp') }, 'another')
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretConflict')
    expect(await ada()).toBeUndefined()
  })

  test('finds the Secret under the name and with the labels it asked for', async () => {
    const credentialsSecret = { name: 'mine', labels: { team: 'a' }, annotations: { note: 'b' } }
    await world.apply(aUserResource('ada', { ...lists, credentialsSecret }))
    expect(world.host.secrets.get('default/mine')).toMatchObject({
      labels: { team: 'a' },
      annotations: { note: 'b' },
    })
    expect(world.host.secrets.has('default/ada-mqtt')).toBe(false)
  })

  test.each([
    ['that belongs to nobody', undefined],
    ['that belongs to another object', 'uid-MqttUser-default-bob'],
  ])('is refused, and the Secret left alone, where there is one of its name %s', async (_, owner) => {
    world.host.putSecret('default', 'ada-mqtt', { password: 'foreign' }, owner)
    const before = world.host.secrets.get('default/ada-mqtt')
    await world.apply(aUserResource('ada', lists))
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretConflict')
    expect(world.host.secrets.get('default/ada-mqtt')).toBe(before)
    expect(await ada()).toBeUndefined()
  })

  test('gets none while nobody knows whether it has one', async () => {
    world.host.failure = new Error('unreachable')
    await expect(world.apply(aUserResource('ada', lists))).rejects.toThrow('unreachable')
    expect(world.host.secrets.size).toBe(0)
    expect(await ada()).toBeUndefined()
  })
})

describe('a user with a Secret of its own', () => {
  const spec = { ...lists, passwordSecretRef: { name: 'own' } }

  test('signs in with what a person chose, kept as scrypt', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    await world.apply(aUserResource('ada', spec))
    const verifier = (await ada())?.verifiers[0]?.verifier
    if (verifier === undefined) throw new Error('there is no verifier')
    expect(verifier.algorithm).toBe('scrypt')
    expect(await verifySecret('correct horse', verifier, adaBinding)).toBe(true)
    expect(await verifySecret('another', verifier, adaBinding)).toBe(false)
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect(world.host.get('MqttUser', 'default', 'ada')?.status?.credentialsSecret).toBeUndefined()
  })

  test('keeps its verifier over reconciles and restarts, and gets another for another password', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    await world.apply(aUserResource('ada', spec))
    const before = await ada()
    await world.apply(aUserResource('ada', spec))
    await world.restart()
    expect(await ada()).toEqual(before)
    world.host.putSecret('default', 'own', { password: 'correct horse', other: 'x' })
    await world.secretChanged('own')
    expect(await ada()).toEqual(before)
    world.host.putSecret('default', 'own', { password: 'battery staple' })
    await world.secretChanged('own')
    expect(await ada()).not.toEqual(before)
  })

  test('is kept as a digest where the password was generated by us', async () => {
    const password = generateSecret('mp')
    world.host.putSecret('default', 'own', { pw: password })
    await world.apply(aUserResource('ada', { ...lists, passwordSecretRef: { name: 'own', key: 'pw' } }))
    expect((await ada())?.verifiers).toEqual([{ verifier: verifierOfGenerated(password, adaBinding) }])
  })

  test('may not sign in once the Secret or its key is gone', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    await world.apply(aUserResource('ada', spec))
    world.host.secrets.delete('default/own')
    await world.secretChanged('own')
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretNotFound')
    expect(await ada()).toBeUndefined()
    world.host.putSecret('default', 'own', { pass: 'correct horse' })
    await world.secretChanged('own')
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretKeyMissing')
    expect(world.message('MqttUser', 'ada')).toContain('no key password')
    expect(await ada()).toBeUndefined()
    world.host.putSecret('default', 'own', { password: '' })
    await world.secretChanged('own')
    expect(world.ready('MqttUser', 'ada')).toBe('False SecretKeyMissing')
  })

  test('has the same verifier again after the store has lost it, without another salt', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    await world.apply(aUserResource('ada', spec))
    const before = await ada()
    await world.store.remove('user', org, 'ada')
    const reads = world.host.secretReads
    await world.apply(aUserResource('ada', spec))
    expect(await ada()).toEqual(before)
    expect(world.host.secretReads).toBe(reads)
  })

  test('never has it written to', async () => {
    world.host.putSecret('default', 'own', { password: 'correct horse' })
    const before = world.host.secrets.get('default/own')
    await world.apply(aUserResource('ada', spec))
    await world.delete('MqttUser', 'ada')
    expect(world.host.secrets.get('default/own')).toBe(before)
    expect(world.host.secrets.size).toBe(1)
  })
})

test('a verifier of the spec is taken as it is', async () => {
  const { algorithm, digest, ...rest } = await verifierOfChosen('correct horse')
  const given = { algorithm, digest, ...rest }
  await world.apply(aUserResource('ada', { ...lists, passwordVerifier: given }))
  expect((await ada())?.verifiers).toEqual([{ verifier: given }])
  expect(world.host.secrets.size).toBe(0)
})

test('a former verifier of the spec lets in until its time is over', async () => {
  const [passwordVerifier, former] = ['new', 'old'].map((secret) => {
    return verifierOfGenerated(secret, adaBinding) as { algorithm: 'sha256'; digest: string }
  })
  if (passwordVerifier === undefined || former === undefined) throw new Error('there is no verifier')
  const notAfter = world.now + 600_000
  const [rotatedAt, ends] = [world.now, notAfter].map((time) => new Date(time).toISOString())
  const formerPasswordVerifier = { ...former, rotatedAt: rotatedAt ?? '', notAfter: ends ?? '' }
  await world.apply(aUserResource('ada', { ...lists, passwordVerifier, formerPasswordVerifier }))
  expect((await ada())?.verifiers).toEqual([{ verifier: passwordVerifier }, { verifier: former, notAfter }])
  const status = () => world.host.get('MqttUser', 'default', 'ada')?.status
  expect(status()).toMatchObject({ lastRotationTime: rotatedAt, previousPasswordExpiry: ends })
  const outcome = await world.reconcilers.byKind.MqttUser.reconcile({ namespace: 'default', name: 'ada' })
  expect(outcome.againAfterMs).toBeLessThanOrEqual(600_000)
  world.now = notAfter
  await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
  expect((await ada())?.verifiers).toEqual([{ verifier: passwordVerifier }])
  expect(status()).not.toHaveProperty('previousPasswordExpiry')
  const never = { ...formerPasswordVerifier, notAfter: '2026-19-39T25:00:00Z' }
  await world.apply(aUserResource('ada', { ...lists, passwordVerifier, formerPasswordVerifier: never }))
  expect((await ada())?.verifiers).toEqual([{ verifier: passwordVerifier }])
})
