import { beforeEach, describe, expect, test } from 'vitest'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

describe('an AccessList', () => {
  const record = () => world.store.get('access-list', org, 'devices')

  test('becomes a record of its rules, and an edit is one change of one record', async () => {
    expect(await record()).toEqual({
      rules: [{ effect: 'allow', actions: ['publish'], topics: ['devices/{username}/#'] }],
    })
    world.log.length = 0
    await world.apply(aList('devices', ['other/#']))
    expect((await record())?.rules[0]?.topics).toEqual(['other/#'])
    expect(world.log).toEqual([{ type: 'access-list', organization: org, name: 'devices' }])
  })

  test('with a topic that can not be used keeps what was in force, and names rule, topic and remedy', async () => {
    const before = await record()
    await world.apply(aList('devices', ['fine', 'sensor+/x']))
    expect(await record()).toEqual(before)
    expect(world.ready('AccessList', 'devices')).toBe('False InvalidRules')
    expect(world.message('AccessList', 'devices')).toMatch(
      /spec\.rules\[0\]\.topics\[1\]="sensor\+\/x": is not a topic filter; write # only as the last level/,
    )
    await world.apply(aList('devices', ['fine']))
    expect(world.ready('AccessList', 'devices')).toBe('True Synced')
  })

  test('that never could be used has no record, so that it denies', async () => {
    await world.apply(aList('typo', ['{user}']))
    expect(world.ready('AccessList', 'typo')).toBe('False InvalidRules')
    expect(await world.store.get('access-list', org, 'typo')).toBeUndefined()
  })

  test('goes with its resource, although nothing holds that', async () => {
    expect(world.host.get('AccessList', 'default', 'devices')?.metadata.finalizers).toEqual([])
    await world.delete('AccessList', 'devices')
    expect(await record()).toBeUndefined()
  })

  test('of no Organization has no record', async () => {
    await world.apply(aResource('AccessList', 'lost', { organizationRef: { name: 'none' }, rules: [] }))
    expect(world.ready('AccessList', 'lost')).toBe('False OrganizationNotFound')
    expect(await world.store.names('access-list', org)).toEqual(['devices'])
  })
})
