import { describe, expect, test } from 'vitest'
import { type AccessPolicy, emptyPolicy } from '#core/access/access-policy.ts'
import type { Access } from '#core/access/access.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import { AccessMemo } from '../../../broker/admission/access-memo.ts'
import { allow } from '../../fixtures/broker.ts'
import { anOrganization } from '../../fixtures/records.ts'

const both: AccessRule['actions'] = ['publish', 'subscribe']
const lists = (topic: string) => new Map([['list', { rules: [allow(both, topic)] }]])
const organization = anOrganization()
const may = (access: Access): boolean => access.publish('a', 0, false).allowed
const of = (client_id: string) => ({ username: 'ada', client_id })

describe('the access of a user is', () => {
  test('compiled once for all its clients', () => {
    const [memo, policy, found] = [
      new AccessMemo(),
      { ...emptyPolicy, lists: ['list'] },
      lists('a/{username}'),
    ]
    const first = memo.resolve(policy, organization, found, of('one'))
    expect(memo.resolve(policy, organization, found, of('two'))).toBe(first)
    expect(first.publish('a/ada', 0, false).allowed).toBe(true)
  })

  test('compiled again when a list, a default or the user has changed, or a list has gone', () => {
    const [memo, found] = [new AccessMemo(), lists('a')]
    const policy = { ...emptyPolicy, lists: ['list'] }
    memo.resolve(policy, organization, found, of('one'))
    const edited = memo.resolve(policy, organization, lists('b'), of('one'))
    expect([edited.publish('a', 0, false).allowed, edited.publish('b', 0, false).allowed]).toEqual([
      false,
      true,
    ])
    expect(may(memo.resolve(policy, organization, new Map(), of('one')))).toBe(false)
    const bare = { ...emptyPolicy }
    expect(may(memo.resolve(bare, organization, found, of('one')))).toBe(false)
    const defaults = anOrganization({ defaultLists: ['list'] })
    expect(may(memo.resolve(bare, defaults, found, of('one')))).toBe(true)
    const other = { ...policy, rules: [allow(both, 'c')] }
    expect(memo.resolve(other, organization, found, of('one')).publish('c', 0, false).allowed).toBe(true)
  })

  test.each<[string, AccessPolicy, string]>([
    ['a list', { ...emptyPolicy, lists: ['list'] }, 'clients/{client_id}/#'],
    ['a rule of its own', { ...emptyPolicy, rules: [allow(both, 'clients/{client_id}/#')] }, '#'],
    [
      'a ceiling',
      { ...emptyPolicy, rules: [allow(both, '#')], ceilings: [['list']] },
      'clients/{client_id}/#',
    ],
    [
      'a narrowing',
      { ...emptyPolicy, lists: ['list'], narrowing: [allow(both, 'clients/{client_id}/#')] },
      '#',
    ],
  ])('each client’s own where %s speaks of the client id', (_where, policy, topic) => {
    const [memo, found] = [new AccessMemo(), lists(topic)]
    for (const client of ['one', 'two']) {
      const access = memo.resolve(policy, organization, found, of(client))
      const allowed = ['clients/one/x', 'clients/two/x'].map((each) => access.publish(each, 0, false).allowed)
      expect(allowed).toEqual([client === 'one', client === 'two'])
    }
  })
})
