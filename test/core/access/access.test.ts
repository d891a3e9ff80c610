import { describe, expect, test } from 'vitest'
import {
  type AccessPolicy,
  allowsAnything,
  emptyPolicy,
  listsOf,
  partsOf,
  resolveAccess,
  variablesMissing,
} from '#core/access/access-policy.ts'
import { compileAccess, intersectAccess } from '#core/access/access.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import { allow, deny } from '../../fixtures/broker.ts'

const both: AccessRule['actions'] = ['publish', 'subscribe']
const access = (rules: AccessRule[], attributes: Record<string, string> = {}) =>
  compileAccess([{ list: 'list', rules }], attributes)

describe('access', () => {
  test('is denied where no rule speaks', () => {
    const none = access([])
    expect(none.publish('a', 0, false)).toEqual({ allowed: false, reason: 'no-rule' })
    expect(none.subscribe('a')).toEqual({ allowed: false, reason: 'no-rule' })
    expect(none.receive('a')).toBe(false)
  })

  test('names the rule that decided', () => {
    const verdict = access([allow(['publish'], 'a'), allow(['publish'], 'b')]).publish('b', 0, false)
    expect(verdict).toEqual({ allowed: true, maxQos: 2, rule: { list: 'list', index: 1 } })
  })

  test('names the first of several that would decide alike, with its list', () => {
    const lists = [
      {
        list: 'one',
        rules: [allow(both, 'z'), { ...allow(both, 'a/#'), maxQos: 0 }, deny(both, 'a/x', 'a/y/#')],
      },
      { list: 'two', rules: [allow(both, '#'), deny(both, 'a/x')] },
    ]
    const some = compileAccess(lists, {})
    expect(some.publish('a/x', 0, false)).toMatchObject({ rule: { list: 'one', index: 2 } })
    expect(some.subscribe('a/y/+')).toMatchObject({ rule: { list: 'one', index: 2 } })
    expect(some.publish('a/z', 0, false)).toMatchObject({ rule: { list: 'one', index: 1 } })
    expect(some.publish('a/z', 1, false)).toMatchObject({ rule: { list: 'two', index: 0 } })
    expect(some.subscribe('a/z')).toEqual({ allowed: true, maxQos: 2, rule: { list: 'two', index: 0 } })
    expect(access([allow(both, 'z'), allow(both, 'a/+'), allow(both, 'a/#')]).subscribe('a/z')).toMatchObject(
      {
        rule: { index: 1 },
      },
    )
  })

  test('deny wins, in whatever order', () => {
    for (const rules of [
      [allow(both, '#'), deny(both, 'a/#')],
      [deny(both, 'a/#'), allow(both, '#')],
    ]) {
      expect(access(rules).publish('a/b', 0, false)).toMatchObject({ allowed: false, reason: 'deny-rule' })
      expect(access(rules).subscribe('a/b')).toMatchObject({ allowed: false, reason: 'deny-rule' })
      expect(access(rules).publish('b', 0, false).allowed).toBe(true)
    }
  })

  test('an allow for one action is none for the other', () => {
    const readOnly = access([allow(['subscribe'], 'a')])
    expect(readOnly.subscribe('a').allowed).toBe(true)
    expect(readOnly.publish('a', 0, false).allowed).toBe(false)
  })

  test('a subscription must lie inside an allow', () => {
    const some = access([allow(['subscribe'], 'a/+'), allow(['subscribe'], 'b/#')])
    const granted = (filter: string) => some.subscribe(filter).allowed
    expect(['a/x', 'a/+', 'b/#', 'b/+/c', 'b'].map(granted)).toEqual([true, true, true, true, true])
    expect(['a/#', '+/x', '#', 'a', 'a/x/y', 'c'].map(granted)).toEqual([
      false,
      false,
      false,
      false,
      false,
      false,
    ])
  })

  test('a subscription that only overlaps a deny is granted and asked for per message', () => {
    const some = access([allow(['subscribe'], '#'), deny(['subscribe'], 'secret/+')])
    expect(some.subscribe('#').allowed).toBe(true)
    expect(some.checkDelivery('#')).toBe(true)
    expect(some.checkDelivery('news/#')).toBe(false)
    expect([some.receive('secret/plan'), some.receive('news/today')]).toEqual([false, true])
  })

  test('maxQos bounds a publish and lowers a subscription, retain can be withheld', () => {
    const some = access([{ ...allow(both, 'a'), maxQos: 1, retain: false }])
    expect(some.publish('a', 1, false).allowed).toBe(true)
    expect(some.publish('a', 2, false)).toMatchObject({ allowed: false, reason: 'qos' })
    expect(some.publish('a', 0, true)).toMatchObject({ allowed: false, reason: 'retain' })
    expect(some.subscribe('a')).toMatchObject({ allowed: true, maxQos: 1 })
    const rule = { list: 'list', index: 0 }
    expect(some.publish('a', 2, true)).toEqual({ allowed: false, reason: 'qos', rule })
    expect(some.publish('a', 1, true)).toEqual({ allowed: false, reason: 'retain', rule })
    const least = access([allow(both, 'b'), { ...allow(both, 'a'), maxQos: 0 }])
    expect(least.publish('a', 1, false)).toEqual({
      allowed: false,
      reason: 'qos',
      rule: { list: 'list', index: 1 },
    })
    expect(least.publish('a', 0, true).allowed).toBe(true)
  })

  test('a deny denies at every QoS, retained or not', () => {
    const some = access([allow(both, '#'), { ...deny(both, 'a'), maxQos: 0, retain: false }])
    expect(some.publish('a', 2, true)).toMatchObject({ reason: 'deny-rule' })
  })

  test('what is no filter is refused as that', () => {
    const all = access([allow(both, '#')])
    for (const filter of [
      '',
      'a#',
      'a/#/b',
      '+a',
      'a\0',
      '$share/g',
      '$share//a',
      '$share/+/a',
      '$share/g/a#',
    ]) {
      expect(all.subscribe(filter)).toEqual({ allowed: false, reason: 'invalid-topic' })
    }
  })

  test('topics under $ are closed, whatever is allowed', () => {
    const all = access([allow(both, '#', '$SYS/#', '$cloudsignal/#', '$x', '$share/g/x')])
    for (const topic of ['$SYS/x', '$cloudsignal/credential/expiring', '$x', '$share/g/x', '$']) {
      expect(all.publish(topic, 0, false)).toEqual({ allowed: false, reason: 'reserved-topic' })
      expect(all.receive(topic)).toBe(false)
    }
    for (const filter of ['$SYS/#', '$cloudsignal/#', '$x', '$share/g/$SYS/#', '$', '$queue/a']) {
      expect(all.subscribe(filter)).toEqual({ allowed: false, reason: 'reserved-topic' })
    }
  })

  test('a shared subscription is judged by its filter', () => {
    const some = access([allow(['subscribe'], 'a/#')])
    expect(some.subscribe('$share/group/a/b').allowed).toBe(true)
    for (const filter of ['$share/group/b', '$share//a/b', '$share/a', '$share/+/a/b', '$SHARE/g/a/b']) {
      expect(some.subscribe(filter).allowed).toBe(false)
    }
    const bounded = access([allow(['subscribe'], 'a/#'), deny(['subscribe'], 'a/secret')])
    expect(bounded.checkDelivery('$share/group/a/#')).toBe(true)
    expect(bounded.checkDelivery('$share/group/a/b')).toBe(false)
    expect(bounded.subscribe('$share/group/a/secret')).toMatchObject({ reason: 'deny-rule' })
  })
})

describe('identity variables', () => {
  const rules = [allow(both, 'users/{user_id}/#'), deny(both, 'users/{user_id}/log')]

  test('are filled in', () => {
    const ada = access(rules, { user_id: 'ada' })
    expect(ada.publish('users/ada/x', 0, false).allowed).toBe(true)
    expect(ada.publish('users/bob/x', 0, false).allowed).toBe(false)
    expect(ada.publish('users/ada/log', 0, false).allowed).toBe(false)
  })

  test.each(['+', '#', 'a/b', '', 'a\0', 'a\u001f', '\u007f', '\n', '$x', 'x'.repeat(129), undefined])(
    'with the value %j widen nothing: the allow does not apply, the deny denies more',
    (value) => {
      const attributes: Record<string, string> = value === undefined ? {} : { user_id: value }
      const some = access([...rules, allow(both, 'users/+/log')], attributes)
      expect(some.publish('users/ada/x', 0, false).allowed).toBe(false)
      expect(some.subscribe('users/+/x').allowed).toBe(false)
      expect(some.publish('users/anybody/log', 0, false)).toMatchObject({ reason: 'deny-rule' })
    },
  )

  test.each(['x'.repeat(128), 'auth0|1', 'a b', 'ü', 'a$', 'a@b.c', '\u0080', '{user_id}'])(
    'with the value %j are filled in as they are',
    (value) => {
      const some = access(rules, { user_id: value })
      expect(some.publish(`users/${value}/x`, 0, false).allowed).toBe(true)
      expect(some.publish(`users/${value}/log`, 0, false).allowed).toBe(false)
      expect(some.publish('users/x/x', 0, false).allowed).toBe(false)
    },
  )

  test('names of object prototypes are no attributes', () => {
    for (const name of ['constructor', '__proto__', 'toString']) {
      const some = access([allow(both, `a/{${name}}`), allow(both, 'b')])
      expect(some.subscribe('a/+').allowed).toBe(false)
      expect(some.publish('a/x', 0, false).allowed).toBe(false)
      expect(access([allow(both, '#'), deny(both, `a/{${name}}`)]).publish('a/x', 0, false).allowed).toBe(
        false,
      )
    }
  })
})

describe('a ceiling', () => {
  const wide = access([allow(both, '#')])
  const narrow = access([{ ...allow(both, 'a/#'), maxQos: 1 }, deny(both, 'a/secret')])

  test('is never passed', () => {
    const bounded = intersectAccess(wide, [narrow])
    expect(bounded.publish('a/x', 1, false).allowed).toBe(true)
    expect(bounded.publish('a/x', 2, false).allowed).toBe(false)
    expect(bounded.publish('b', 0, false).allowed).toBe(false)
    expect(bounded.publish('a/secret', 0, false).allowed).toBe(false)
    expect(bounded.subscribe('#').allowed).toBe(false)
    expect(bounded.subscribe('a/#')).toMatchObject({ allowed: true, maxQos: 1 })
    expect(bounded.checkDelivery('a/#')).toBe(true)
    expect([bounded.receive('a/x'), bounded.receive('a/secret'), bounded.receive('b')]).toEqual([
      true,
      false,
      false,
    ])
  })

  test('gives nothing of its own', () => {
    expect(intersectAccess(access([]), [wide]).publish('a', 0, false).allowed).toBe(false)
  })
})

describe('a policy', () => {
  const lists = new Map([
    ['all', { rules: [allow(both, '#')] }],
    ['a', { rules: [allow(both, 'a/#')] }],
  ])
  const resolve = (policy: Partial<AccessPolicy>, defaults: string[] = []) =>
    resolveAccess({ ...emptyPolicy, ...policy }, defaults, lists, {})

  test('uses the defaults where it refers to nothing of its own, and only there', () => {
    expect(resolve({}, ['all']).publish('b', 0, false).allowed).toBe(true)
    expect(resolve({ lists: ['a'] }, ['all']).publish('b', 0, false).allowed).toBe(false)
    expect(resolve({ rules: [allow(both, 'c')] }, ['all']).publish('b', 0, false).allowed).toBe(false)
    expect(resolve({}, []).publish('a', 0, false).allowed).toBe(false)
  })

  test('denies everything when one of its lists is missing', () => {
    expect(resolve({ lists: ['all', 'missing'] }).publish('a', 0, false).allowed).toBe(false)
    expect(resolve({ lists: ['all'], rules: [allow(both, 'a')] }).publish('a', 0, false).allowed).toBe(true)
    expect(resolve({ lists: ['missing'], rules: [allow(both, 'a')] }).publish('a', 0, false).allowed).toBe(
      false,
    )
    expect(resolve({ lists: ['all'], ceilings: [['missing']] }).publish('a', 0, false).allowed).toBe(false)
  })

  test('lies inside every ceiling; an empty one allows nothing', () => {
    const bounded = resolve({ lists: ['all'], ceilings: [['a'], ['all']] })
    expect([bounded.publish('a/x', 0, false).allowed, bounded.publish('b', 0, false).allowed]).toEqual([
      true,
      false,
    ])
    expect(resolve({ lists: ['all'], ceilings: [[]] }).publish('a', 0, false).allowed).toBe(false)
  })

  test('may be narrowed by whoever asks, never widened', () => {
    const narrowed = resolve({ lists: ['a'], narrowing: [{ ...allow(['publish'], 'a/x', 'b'), maxQos: 1 }] })
    expect(narrowed.publish('a/x', 1, false)).toEqual({
      allowed: true,
      maxQos: 1,
      rule: { list: '(narrowing)', index: 0 },
    })
    expect(narrowed.publish('a/x', 2, false)).toMatchObject({ reason: 'qos', rule: { list: '(narrowing)' } })
    for (const topic of ['a', 'a/y', 'b']) expect(narrowed.publish(topic, 0, false).allowed).toBe(false)
    expect(narrowed.subscribe('a/x').allowed).toBe(false)
    expect(resolve({ lists: ['a'], narrowing: [] }).publish('a', 0, false).allowed).toBe(false)
  })

  test('names rules of its own as such', () => {
    const own = resolve({ rules: [allow(both, 'b'), allow(both, 'c')] })
    expect(own.publish('c', 0, false)).toMatchObject({ rule: { list: '(inline)', index: 1 } })
  })

  test('is told apart: what it has of its own and each bound, and whether any of them can allow at all', () => {
    const policy = {
      lists: ['a'],
      rules: [allow(both, '{user_id}'), deny(both, 'x')],
      ceilings: [['a', 'missing']],
    }
    const [own, ceiling, narrowing] = partsOf(
      { ...policy, narrowing: [allow(both, '{email}/{user_id}')] },
      [],
      lists,
    )
    expect([own.kind, ceiling?.kind, narrowing?.kind]).toEqual(['own', 'ceiling', 'narrowing'])
    expect([own.missing, ceiling?.missing]).toEqual([[], ['missing']])
    if (ceiling === undefined || narrowing === undefined) throw new Error('there are three')
    expect([own, ceiling, narrowing].map((part) => allowsAnything(part, {}))).toEqual([true, false, false])
    expect(allowsAnything(narrowing, { email: 'e', user_id: 'u' })).toBe(true)
    expect(variablesMissing(narrowing, { email: 'a/b' })).toEqual(['email', 'user_id'])
    expect(variablesMissing(own, {})).toEqual(['user_id'])
    const [denying] = partsOf({ ...emptyPolicy, rules: [deny(both, '#')] }, [], lists)
    expect(allowsAnything(denying, {})).toBe(false)
  })

  test('names every list it needs once', () => {
    const policy = { lists: ['a', 'b'], rules: [], ceilings: [['b'], ['c']] }
    expect(listsOf(policy, ['d'])).toEqual(['a', 'b', 'c'])
    expect(listsOf({ ...emptyPolicy, ceilings: [['c']] }, ['d'])).toEqual(['d', 'c'])
  })
})
