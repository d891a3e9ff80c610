import { describe, expect, test } from 'vitest'
import { type AccessPolicy, emptyPolicy } from '#core/access/access-policy.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import { type AccessRequest, explain, type Explanation } from '#core/access/explain.ts'
import { summaryOf, whyNot } from '#core/access/explanation-text.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { allow, deny } from '../../fixtures/broker.ts'

const both: AccessRule['actions'] = ['publish', 'subscribe']
const publish = (topic: string, qos: AccessRequest['qos'] = 0, retain = false): AccessRequest => ({
  action: 'publish',
  topic,
  qos,
  retain,
})
const subscribe = (topic: string, qos: AccessRequest['qos'] = 0): AccessRequest => ({
  action: 'subscribe',
  topic,
  qos,
  retain: false,
})

const lists = new Map<string, { readonly rules: AccessRule[] }>([
  [
    'people',
    {
      rules: [
        allow(both, 'users/{user_id}/#'),
        deny(['publish'], 'users/{user_id}/inbox/#'),
        allow(['subscribe'], 'news/+'),
        { ...allow(['publish'], 'votes'), maxQos: 1, retain: false },
      ],
    },
  ],
  ['quiet', { rules: [allow(['subscribe'], '#'), deny(['subscribe'], 'news/secret', 'users/+/log')] }],
])

/** Of alice, who refers to `people`, unless the test says otherwise. */
function ask(
  request: AccessRequest,
  policy: Partial<AccessPolicy> = { lists: ['people'] },
  attributes: Attributes = { user_id: 'alice' },
  defaults: readonly string[] = [],
): { readonly found: Explanation; readonly summary: string; readonly why: readonly string[] } {
  const subject = { policy: { ...emptyPolicy, ...policy }, defaults, found: lists, attributes }
  const found = explain(subject, request)
  return {
    found,
    summary: summaryOf(found, request),
    why: found.nearest.map((miss) => whyNot(miss, request)),
  }
}

describe('an explanation of what is allowed', () => {
  test('names the rule, as it stands and as it applies', () => {
    const { found, summary } = ask(publish('users/alice/x', 2))
    expect(found).toEqual({
      verdict: { allowed: true, maxQos: 2, rule: { list: 'people', index: 0 } },
      decidedBy: 'own',
      rule: {
        list: 'people',
        index: 0,
        effect: 'allow',
        actions: both,
        topic: 'users/{user_id}/#',
        filter: 'users/alice/#',
        values: { user_id: 'alice' },
        unusable: [],
      },
      lists: ['people'],
      missingLists: [],
      exceptions: [],
      nearest: [],
    })
    expect(summary).toBe('Allowed by rules[0] of people (users/{user_id}/#).')
  })

  test('says what of a subscription is left out, and at which QoS it comes', () => {
    const { found, summary } = ask(subscribe('#', 2), {
      lists: ['quiet'],
      narrowing: [{ ...allow(both, '#'), maxQos: 1 }],
    })
    expect(found.exceptions.map(({ topic }) => topic)).toEqual(['news/secret', 'users/+/log'])
    expect(found.decidedBy).toBe('narrowing')
    expect(summary).toBe(
      'Allowed by rules[0] of (narrowing) (#), at QoS 1 at most, except for messages that ' +
        'rules[1] of quiet (news/secret), rules[1] of quiet (users/+/log) denies.',
    )
    const narrower = ask(subscribe('news/+', 1), { lists: ['quiet'] })
    expect(narrower.found.exceptions.map(({ topic }) => topic)).toEqual(['news/secret'])
    expect(narrower.summary).toBe(
      'Allowed by rules[0] of quiet (#), except for messages that rules[1] of quiet (news/secret) denies.',
    )
    expect(ask(subscribe('news/today', 2)).summary).toBe('Allowed by rules[2] of people (news/+).')
    expect(ask(subscribe('weather/#'), { lists: ['quiet'] }).found.exceptions).toEqual([])
  })

  test('judges a shared subscription by its filter', () => {
    const { found } = ask(subscribe('$share/g/users/alice/#'))
    expect(found.rule).toMatchObject({ filter: 'users/alice/#' })
  })
})

describe('an explanation of what is denied', () => {
  test('names the deny', () => {
    const { found, summary } = ask(publish('users/alice/inbox/1'))
    expect(found.rule).toMatchObject({ index: 1, effect: 'deny', filter: 'users/alice/inbox/#' })
    expect(summary).toBe('Denied: rules[1] of people (users/{user_id}/inbox/#) denies it.')
  })

  test('says that a deny stands for any value where its variable has none', () => {
    const policy = { lists: ['people'], rules: [allow(both, 'users/#')] }
    const { found, summary } = ask(publish('users/bob/inbox/1'), policy, {})
    expect(found.rule).toMatchObject({
      filter: 'users/+/inbox/#',
      unusable: [{ name: 'user_id', problem: 'missing' }],
    })
    expect(summary).toBe(
      'Denied: rules[1] of people (users/{user_id}/inbox/#) denies it, for any value: user_id has no value here.',
    )
  })

  test('says when it is the QoS or the retain flag', () => {
    expect(ask(publish('votes', 2)).summary).toBe(
      'Denied: rules[3] of people (votes) allows it, but not at this QoS.',
    )
    expect(ask(publish('votes', 1, true)).summary).toBe(
      'Denied: rules[3] of people (votes) allows it, but not as a retained message.',
    )
  })

  test('says which bound it is', () => {
    const ceiling = ask(publish('users/alice/x'), { lists: ['people'], ceilings: [['quiet']] })
    expect(ceiling.found.decidedBy).toBe('ceiling')
    expect(ceiling.summary).toBe('Denied: no rule of the ceiling allows it.')
    const narrowed = ask(publish('users/alice/x'), { lists: ['people'], narrowing: [allow(both, 'votes')] })
    expect(narrowed.summary).toBe('Denied: no rule of what the credential was narrowed to allows it.')
    expect(ask(publish('users/bob/x')).summary).toBe('Denied: no rule of the identity itself allows it.')
  })

  test('says which list is missing, and that none applies', () => {
    const { found, summary } = ask(publish('users/alice/x'), { lists: ['people', 'gone'] })
    expect(found).toMatchObject({ missingLists: ['gone'], lists: ['people', 'gone'], nearest: [] })
    expect(summary).toBe('Denied: there is no AccessList gone, and a missing list denies everything.')
    expect(ask(publish('a'), {}).summary).toBe('Denied: no access list and no rule applies.')
    expect(ask(publish('users/alice/x'), {}, undefined, ['people']).found).toMatchObject({
      lists: ['people'],
      verdict: { allowed: true },
    })
  })

  test('says that a topic is closed, or none', () => {
    expect(ask(publish('$SYS/x')).summary).toMatch(/^Denied: topics that begin with \$ are closed/)
    for (const request of [publish('users/alice/#'), publish(''), subscribe('a#')]) {
      expect(ask(request).summary).toBe('Denied: this is no topic that can be published or subscribed to.')
    }
  })
})

describe('rules that come near', () => {
  test('are told with the value that is another one', () => {
    const { found, why } = ask(publish('users/bob/x'))
    expect(found.nearest).toMatchObject([{ index: 0, because: 'value', filter: 'users/alice/#' }])
    expect(why).toEqual(['rules[0] of people allows users/{user_id}/#, and user_id is "alice".'])
  })

  test.each([
    [{}, 'user_id has no value here'],
    [{ user_id: 'a/#' }, 'the value of user_id may not stand in a topic'],
  ])('are told with the variable that can not be filled in: %j', (attributes, reason) => {
    const { found, why } = ask(publish('users/alice/x'), undefined, attributes)
    expect(found.nearest).toMatchObject([{ index: 0, because: 'variable' }])
    expect(found.nearest[0]).not.toHaveProperty('filter')
    expect(why).toEqual([`rules[0] of people allows users/{user_id}/#, but does not apply: ${reason}.`])
  })

  test('are told with the action that they are about', () => {
    const { why } = ask(publish('news/today'))
    expect(why).toEqual(['rules[2] of people allows news/+, but only to subscribe.'])
  })

  test('are told when a filter reaches beyond them, also a shared one', () => {
    for (const filter of ['news/#', '$share/g/news/#']) {
      const { why } = ask(subscribe(filter))
      expect(why).toEqual(['rules[2] of people allows news/+; the filter reaches beyond that.'])
    }
  })

  test('are of no interest where something is allowed, or a rule denies', () => {
    const rules = [
      allow(['publish'], 'a/x'),
      deny(['publish'], 'a/y'),
      allow(['publish'], 'a/{user_id}', 'a/+/z'),
    ]
    for (const topic of ['a/x', 'a/y', '$a/x']) {
      expect(ask(publish(topic), { rules }).found.nearest).toEqual([])
    }
    expect(ask(publish('a/q'), { rules }).found.nearest).toHaveLength(1)
  })

  test('are not those about the other action, unless they hold what is asked for', () => {
    const rules = [allow(['subscribe'], 'a/+', 'a/{user_id}/x')]
    expect(ask(publish('a/b/c'), { rules }).found.nearest).toEqual([])
    expect(ask(publish('a/b'), { rules }).found.nearest).toMatchObject([{ because: 'action' }])
  })

  test('come in the order of how near they are', () => {
    const rules = [
      allow(['publish'], 'a/b/c/x', 'q'),
      allow(['publish'], 'a/b/{claims.c}/d/e'),
      allow(['publish'], 'a/b/c/d/{user_id}'),
      allow(['subscribe'], 'a/#'),
      deny(['publish'], 'z'),
    ]
    const { found } = ask(publish('a/b/c/d/e'), { rules })
    expect(found.nearest.map(({ topic }) => topic)).toEqual([
      'a/#',
      'a/b/c/d/{user_id}',
      'a/b/{claims.c}/d/e',
    ])
  })

  test('are a few whose topic begins alike where nothing comes nearer', () => {
    const topics = ['a/x', 'a/b/x', 'q', 'a/b/c/x', 'a/y', 'a/z', 'a/+/x', 'a']
    const { found, why } = ask(publish('a/b/c/d'), {
      rules: topics.map((topic) => allow(['publish'], topic)),
    })
    expect(found.nearest.map(({ topic }) => topic)).toEqual(['a/b/c/x', 'a/b/x', 'a/+/x', 'a/x', 'a/y'])
    expect(why[0]).toBe('rules[3] of (inline) allows a/b/c/x, which is another topic.')
  })
})
