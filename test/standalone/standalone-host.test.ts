import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AnyResource, ResourceOf } from '#core/resources/index.ts'
import type { NewSecret } from '../../operator/reconcilers/host.ts'
import type { HostChange, StandaloneHost } from '../../standalone/standalone-host.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, aUser, documents, someManifests } from './manifests-fixture.ts'

function theUser(host: StandaloneHost, name = 'one'): ResourceOf['MqttUser'] {
  const user = host.get('MqttUser', 'default', name)
  if (user === undefined) throw new Error(`there is no user ${name}`)
  return user
}

const aSecretFor = ({ metadata }: AnyResource, name = 'one-mqtt'): NewSecret => ({
  namespace: 'default',
  name,
  type: 'kubernetes.io/basic-auth',
  owner: { kind: 'MqttUser', name: metadata.name, uid: metadata.uid },
  labels: {},
  annotations: {},
  data: { password: 'generated' },
})

const ready = (status: 'True' | 'False', reason: string, message = '') => ({
  conditions: [{ type: 'Ready', status, reason, message, lastTransitionTime: '2026-01-01T00:00:00Z' }],
})

const user = { 'a.yaml': aUser('one') }

describe('generated Secrets', () => {
  it('are kept over a restart', async () => {
    const { open } = await someManifests(user)
    const first = await open()
    const made = await first.host.createSecret(aSecretFor(theUser(first.host)))
    const before = await first.host.readSecret('default', 'one-mqtt')
    expect(made).toEqual(before)
    await first.manifests.close()
    const after = await (await open()).host.readSecret('default', 'one-mqtt')
    expect(after).toEqual(before)
    expect(after).toMatchObject({ data: { password: 'generated' }, ownerUid: expect.any(String) })
  })

  it('are never overwritten, neither by one of the same name nor over one in a manifest', async () => {
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: { name: own }\nstringData: { password: mine }\n'
    const { open } = await someManifests({ ...user, 'b.yaml': secret })
    const { host } = await open()
    const [first, second] = await Promise.all([
      host.createSecret(aSecretFor(theUser(host))),
      host.createSecret({ ...aSecretFor(theUser(host)), data: { password: 'other' } }),
    ])
    expect([first?.data, second]).toEqual([{ password: 'generated' }, undefined])
    expect((await host.readSecret('default', 'one-mqtt'))?.data).toEqual({ password: 'generated' })
    expect(await host.createSecret(aSecretFor(theUser(host), 'own'))).toBeUndefined()
    expect((await host.readSecret('default', 'own'))?.data).toEqual({ password: 'mine' })
  })

  it('go with the object they are for, also when it went while nothing ran', async () => {
    const { open, write } = await someManifests({ 'a.yaml': documents(aUser('one'), aUser('two')) })
    const first = await open()
    await first.host.createSecret(aSecretFor(theUser(first.host, 'one')))
    await first.host.createSecret(aSecretFor(theUser(first.host, 'two'), 'two-mqtt'))
    await first.manifests.close()
    await write('a.yaml', aUser('two'))
    const { host } = await open()
    expect(await host.readSecret('default', 'one-mqtt')).toBeUndefined()
    expect(await host.readSecret('default', 'two-mqtt')).toBeDefined()
  })

  it('are changed as they were read, on disk too, and not otherwise', async () => {
    const { open } = await someManifests(user)
    const first = await open()
    await first.host.createSecret(aSecretFor(theUser(first.host)))
    const read = await first.host.readSecret('default', 'one-mqtt')
    if (read === undefined) throw new Error('there is no Secret')
    await first.host.updateSecret(read, { password: 'next', rotation: 'x' })
    await expect(first.host.updateSecret(read, { password: 'late' })).rejects.toThrow(/changed meanwhile/)
    await first.manifests.close()
    const after = await (await open()).host.readSecret('default', 'one-mqtt')
    expect(after).toMatchObject({ data: { password: 'next', rotation: 'x' } })
    expect(after?.version).not.toBe(read.version)
  })

  it('are not made for an object that is gone', async () => {
    const { open, directory } = await someManifests(user)
    const { host } = await open()
    const secret = aSecretFor(theUser(host))
    await rm(join(directory, 'a.yaml'))
    await eventually('deleted', () => host.get('MqttUser', 'default', 'one') === undefined)
    await expect(host.createSecret(secret)).rejects.toThrow(/owner .* is gone/)
  })
})

describe('deletion', () => {
  it('waits for the finalizer, takes the Secret along, and lets a successor in', async () => {
    const { open, write, directory } = await someManifests(user)
    const { host, manifests } = await open()
    const told: string[] = []
    manifests.onChange((changes) => told.push(...changes.map(({ type }) => type)))
    const { uid } = theUser(host).metadata
    await host.createSecret(aSecretFor(theUser(host)))
    await host.addFinalizer('MqttUser', theUser(host))
    await rm(join(directory, 'a.yaml'))
    await eventually('a deletion', () => theUser(host).metadata.deletionTimestamp)
    await write('a.yaml', aUser('one', '  suspended: true\n'))
    await eventually('the new manifest', () => told.includes('added'))
    expect(theUser(host).metadata).toMatchObject({ uid, deletionTimestamp: expect.any(String) })
    await host.removeFinalizer('MqttUser', theUser(host))
    expect(await host.readSecret('default', 'one-mqtt')).toBeUndefined()
    await eventually('the successor', () => host.get('MqttUser', 'default', 'one')?.spec.suspended)
    expect(theUser(host).metadata.uid).not.toBe(uid)
    expect(theUser(host).metadata.deletionTimestamp).toBeUndefined()
  })

  it('without a finalizer is at once, and said', async () => {
    const { open, directory, said } = await someManifests(user)
    const { host } = await open()
    await rm(join(directory, 'a.yaml'))
    await eventually('deleted', () => host.get('MqttUser', 'default', 'one') === undefined)
    expect(said).toEqual(['MqttUser default/one is deleted'])
  })
})

describe('statuses', () => {
  it('are said once per transition', async () => {
    const { open, said } = await someManifests(user)
    const { host } = await open()
    const write = (status: ResourceOf['MqttUser']['status']) =>
      host.writeStatus('MqttUser', theUser(host), status ?? {})
    await write(ready('False', 'AccessListNotFound', 'there is no AccessList people'))
    await write({ ...ready('True', 'Synced', 'signs in'), username: 'one@org_k7xm4pqr2n5t' })
    await write({ ...ready('True', 'Synced', 'signs in'), secretResourceVersion: '2' })
    expect(said).toEqual([
      'MqttUser default/one is not ready: AccessListNotFound: there is no AccessList people',
      'MqttUser default/one is ready: signs in',
    ])
  })

  it('stay while the spec changes, and are not written to a successor', async () => {
    const { open, write } = await someManifests(user)
    const { host } = await open()
    const before = theUser(host)
    await host.writeStatus('MqttUser', before, { username: 'one@org_k7xm4pqr2n5t' })
    await write('a.yaml', aUser('one', '  suspended: true\n'))
    await eventually('the change', () => theUser(host).spec.suspended)
    expect(theUser(host).status?.username).toBe('one@org_k7xm4pqr2n5t')
    const stranger = { ...before, metadata: { ...before.metadata, uid: 'another' } }
    await host.writeStatus('MqttUser', stranger, { username: 'wrong' })
    expect(theUser(host).status?.username).toBe('one@org_k7xm4pqr2n5t')
  })
})

describe('changes', () => {
  it('tell a new spec from a new status', async () => {
    const { open, write } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { host } = await open()
    const told: HostChange[] = []
    host.onChange((change) => told.push(change))
    const organization = host.get('Organization', 'default', 'acme')
    if (organization === undefined) throw new Error('no organization')
    await host.writeStatus('Organization', organization, { shortId: 'org_aaaabbbbcccc' })
    await write('a.yaml', anOrganization('acme', 'suspended: true'))
    await eventually('the change', () => told.length === 2)
    expect(told.map(({ of }) => of)).toEqual(['status', 'object'])
  })

  it('of a Secret in a manifest reach the objects of its namespace', async () => {
    const { open, write } = await someManifests(user)
    const { host } = await open()
    const told: HostChange[] = []
    host.onChange((change) => told.push(change))
    await write('b.yaml', 'apiVersion: v1\nkind: Secret\nmetadata: { name: own }\nstringData: { a: b }\n')
    await eventually('the change', () => told.length > 0)
    expect(told).toEqual([{ kind: 'MqttUser', namespace: 'default', name: 'one', of: 'object' }])
  })

  it('pin a short id once', async () => {
    const { open } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { host } = await open()
    const organization = () => host.get('Organization', 'default', 'acme') as ResourceOf['Organization']
    await host.pinShortId(organization(), 'aaaabbbbcccc')
    await host.pinShortId(organization(), 'ddddeeeeffff')
    expect(organization().spec.shortId).toBe('aaaabbbbcccc')
  })
})
