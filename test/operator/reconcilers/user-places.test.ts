/** `limits.users` of an Organization. */
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import type { ResourceOf } from '#core/resources/index.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const shortId = 'k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }
const acmeOf = (users: number | undefined, spec: Partial<ResourceOf['Organization']['spec']> = {}) =>
  anOrganizationResource({ shortId, ...(users === undefined ? {} : { limits: { users } }), ...spec })
/** Of the same age in seconds, the same creation. */
const aged = (name: string, seconds: number, over: { namespace?: string; uid?: string } = {}) =>
  aUserResource(
    name,
    {
      ...lists,
      ...(over.namespace === undefined ? {} : { organizationRef: { name: 'acme', namespace: 'default' } }),
    },
    { ...over, creationTimestamp: new Date(Date.UTC(2026, 10, 24, 10, 0, seconds)).toISOString() },
  )

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(acmeOf(2), aList('devices'))
})

const names = async (): Promise<string[]> => [...(await world.store.names('user', org))].toSorted()
const ready = (name: string): string => world.ready('MqttUser', name)

describe('an Organization with room for two users', () => {
  test('has the two oldest; the next is told why, can not sign in and gets no password', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('eve', 3))
    expect([ready('ada'), ready('bob'), ready('eve')]).toEqual([
      'True Synced',
      'True Synced',
      'False UserLimitReached',
    ])
    expect(world.message('MqttUser', 'eve')).toContain(
      'Organization default/acme has room for 2 users (spec.limits.users), and others have it: delete one of them, or raise',
    )
    expect(await names()).toEqual(['ada', 'bob'])
    expect(world.host.secrets.has('default/eve-mqtt')).toBe(false)
  })

  test('chooses among those that came together by age and then by name, whoever is looked at first', async () => {
    const together = [aged('zoe', 1), aged('bob', 2), aged('ada', 2), aged('old', 0)]
    for (const user of together) world.host.put(user)
    await world.restart()
    expect(await names()).toEqual(['old', 'zoe'])
    await world.apply(acmeOf(3))
    expect(await names()).toEqual(['ada', 'old', 'zoe'])
  })

  test('takes no place away for one that comes later, though it counts as older', async () => {
    await world.apply(aged('bob', 5), aged('eve', 5))
    await world.apply(aged('ada', 5), aged('older', 1))
    expect(await names()).toEqual(['bob', 'eve'])
    expect([ready('ada'), ready('older')]).toEqual(['False UserLimitReached', 'False UserLimitReached'])
    world.forget()
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    await world.restart()
    expect(await names()).toEqual(['bob', 'eve'])
  })

  test('lets the oldest that wait in when it is raised, and all without a limit', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('young', 9), aged('eve', 3))
    await world.apply(acmeOf(3))
    expect(await names()).toEqual(['ada', 'bob', 'eve'])
    await world.apply(acmeOf(undefined))
    expect(await names()).toEqual(['ada', 'bob', 'eve', 'young'])
    expect(ready('young')).toBe('True Synced')
  })

  test('refuses the newest when it is lowered, whose password stays for when there is room again', async () => {
    await world.apply(acmeOf(undefined), aged('bob', 2), aged('ada', 1), aged('eve', 3))
    const password = world.host.secrets.get('default/eve-mqtt')?.data['password']
    await world.apply(acmeOf(1))
    expect(await names()).toEqual(['ada'])
    expect(ready('bob')).toBe('False UserLimitReached')
    await world.apply(acmeOf(0))
    expect(await names()).toEqual([])
    await world.apply(acmeOf(5))
    expect(await names()).toEqual(['ada', 'bob', 'eve'])
    expect(world.host.secrets.get('default/eve-mqtt')?.data['password']).toBe(password)
  })

  test('gives the place of one that is deleted to the oldest that waits', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('young', 9), aged('eve', 3))
    await world.delete('MqttUser', 'ada')
    expect(await names()).toEqual(['bob', 'eve'])
    expect(ready('young')).toBe('False UserLimitReached')
    await world.delete('MqttUser', 'young')
    expect(await names()).toEqual(['bob', 'eve'])
  })

  test('gives two places away when two are gone before anybody was looked at', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('eve', 3), aged('fay', 4), aged('gil', 5))
    world.host.resources.delete('MqttUser/default/ada')
    world.host.resources.delete('MqttUser/default/bob')
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'bob' })
    expect(await names()).toEqual(['eve', 'fay'])
  })

  test('takes one that was made anew under the name for another user', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('eve', 3))
    await world.delete('MqttUser', 'ada')
    world.host.secrets.clear()
    await world.apply(aged('ada', 8, { uid: 'another' }))
    expect(ready('ada')).toBe('False UserLimitReached')
    expect(await names()).toEqual(['bob', 'eve'])
  })

  test('gives the place of one that was made anew in the same moment to the oldest that waits', async () => {
    await world.apply(aged('ada', 1), aged('bob', 2), aged('eve', 3))
    world.host.secrets.clear()
    world.host.put(aged('ada', 8, { uid: 'another' }))
    const ada = { kind: 'MqttUser', namespace: 'default', name: 'ada' } as const
    const woken = world.reconcilers.byKind.MqttUser.dependents(ada)
    expect(woken).toEqual([{ ...ada, name: 'eve' }])
    for (const each of [ada, ...woken]) await world.reconcilers.byKind[each.kind].reconcile(each)
    expect(ready('ada')).toBe('False UserLimitReached')
    expect(await names()).toEqual(['bob', 'eve'])
  })

  test('counts users of namespaces that it allows and no others, and nobody who has lost the username', async () => {
    const foreign = aged('foreign', 0, { namespace: 'team-a' })
    const twin = aUserResource(
      'twin',
      { ...lists, username: 'ada' },
      { creationTimestamp: '2026-11-24T10:00:05Z' },
    )
    await world.apply(foreign, aged('ada', 1), twin, aged('eve', 9))
    expect(await names()).toEqual(['ada', 'eve'])
    await world.apply(acmeOf(2, { allowedNamespaces: [{ name: 'team-a' }] }))
    expect(world.ready('MqttUser', 'foreign', 'team-a')).toBe('False UserLimitReached')
    await world.delete('MqttUser', 'eve')
    expect(await names()).toEqual(['ada', 'foreign'])
    await world.apply(aged('fay', 10), acmeOf(2))
    expect(await names()).toEqual(['ada', 'fay'])
  })

  test.each([['older'], ['younger']])(
    'gives the place of one that loses the username to the older one that gets it; the %s is looked at first',
    async (first) => {
      const [older, younger] = [aged('ada', 2, { namespace: 'team-a' }), aged('ada', 3)]
      const inOrder = first === 'older' ? [older, younger] : [younger, older]
      await world.apply(acmeOf(1), ...inOrder, aged('eve', 1))
      expect([ready('ada'), ready('eve')]).toEqual(['True Synced', 'False UserLimitReached'])
      await world.apply(acmeOf(1, { allowedNamespaces: [{ name: 'team-a' }] }))
      expect([ready('ada'), ready('eve')]).toEqual(['False UsernameConflict', 'False UserLimitReached'])
      expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('True Synced')
      expect(await names()).toEqual(['ada'])
    },
  )

  test('remembers nobody who is gone', async () => {
    await world.apply(aged('ada', 1))
    await world.delete('MqttUser', 'ada')
    const waits = [
      { type: 'Ready', status: 'False', reason: 'UserLimitReached', message: '', lastTransitionTime: '' },
    ]
    world.host.put({ ...aged('eve', 3), status: { conditions: waits as never } })
    world.host.put(aged('ada', 8, { uid: 'another' }))
    const { dependents } = world.reconcilers.byKind.MqttUser
    expect(dependents({ namespace: 'default', name: 'ada' })).toEqual([])
  })

  test('does not take a user that could not be removed from Redis for one that has a place', async () => {
    await world.apply(acmeOf(undefined), aged('bob', 2), aged('eve', 2))
    const unavailable = [
      { type: 'Ready', status: 'False', reason: 'StoreUnavailable', message: '', lastTransitionTime: '' },
    ]
    const eve = world.host.get('MqttUser', 'default', 'eve')
    if (eve === undefined) throw new Error('there is no eve')
    world.host.put({ ...eve, status: { conditions: unavailable as never } })
    world.host.put(aged('older', 1))
    world.host.put(acmeOf(2))
    await world.restart()
    expect(await names()).toEqual(['bob', 'older'])
  })
})

type Step =
  | { readonly act: 'make'; readonly name: string; readonly age: number }
  | { readonly act: 'delete'; readonly name: string }
  | { readonly act: 'limit'; readonly users: number }
  | { readonly act: 'restart' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      act: fc.constant('make' as const),
      name: fc.constantFrom(...'abcdefgh'),
      age: fc.nat(3),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ act: fc.constant('delete' as const), name: fc.constantFrom(...'abcdefgh') }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('limit' as const), users: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('restart' as const) }) },
)

test('whatever happens, all places are given and nobody loses one but to a lower limit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      world = new ReconcileWorld()
      await world.apply(acmeOf(2), aList('devices'))
      const ages = new Map<string, number>()
      let limit = 2
      for (const each of steps) {
        const before = new Set(await names())
        if (each.act === 'make' && !ages.has(each.name)) {
          ages.set(each.name, each.age)
          await world.apply(aged(each.name, each.age, { uid: `${each.name}-${Math.random()}` }))
        } else if (each.act === 'delete' && ages.delete(each.name)) {
          await world.delete('MqttUser', each.name)
          world.host.secrets.delete(`default/${each.name}-mqtt`)
        } else if (each.act === 'restart') await world.restart()
        else if (each.act === 'limit') await world.apply(acmeOf((limit = each.users)))
        const old = [...before].filter((name) => ages.has(name))
        const rank = (name: string): string => `${old.includes(name) ? 0 : 1} ${ages.get(name)} ${name}`
        const expected = [...ages.keys()].toSorted((left, right) => (rank(left) < rank(right) ? -1 : 1))
        expect(await names()).toEqual(expected.slice(0, limit).toSorted())
        for (const name of ages.keys()) {
          const text = expected.indexOf(name) < limit ? 'True Synced' : 'False UserLimitReached'
          expect(ready(name), name).toBe(text)
        }
      }
    }),
    { numRuns: 60 },
  )
})
