import { describe, expect, test } from 'vitest'
import { templateProblem, unusableVariables, valuesIn } from '#core/access/identity-variables.ts'
import { isTopicFilter } from '#core/access/topic-filter.ts'

describe('a template', () => {
  test.each([
    'a/{username}/#',
    '{org_id}/{org_short_id}/{client_id}/{user_id}/{email}/{agent_id}/{session_id}/{provider}',
    'rooms/{claims.room}/+',
    'dev-{username}',
    '{username}{client_id}',
    '#',
  ])('%s is one', (template) => {
    expect(templateProblem(template, isTopicFilter)).toBeUndefined()
  })

  test.each([
    ['a/{usrname}', 'knows no variable {usrname}'],
    ['a/{}', 'knows no variable {}'],
    ['{claims.}', 'knows no variable {claims.}'],
    ['{constructor}', 'knows no variable {constructor}'],
    ['{username', 'has a brace that does not belong to a variable'],
    ['a}/b', 'has a brace that does not belong to a variable'],
    ['{{username}}', 'has a brace that does not belong to a variable'],
    ['a/#/b', 'is not a topic filter'],
    ['a/{username}#', 'is not a topic filter'],
    ['+{username}', 'is not a topic filter'],
  ])('%s is none', (template, problem) => {
    expect(templateProblem(template, isTopicFilter)).toBe(problem)
  })
})

test('variables that can not be filled in are told once each, with why', () => {
  const template = '{user_id}/{email}/{user_id}/{agent_id}'
  expect(unusableVariables(template, { email: 'a/b', agent_id: 'a' })).toEqual([
    { name: 'user_id', problem: 'missing' },
    { name: 'email', problem: 'unsafe' },
  ])
  expect(valuesIn(template, { email: 'a/b', provider: 'p' })).toEqual({ email: 'a/b' })
})
