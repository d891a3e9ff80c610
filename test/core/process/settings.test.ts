import { describe, expect, test } from 'vitest'
import { describeProblem, isDomainError } from '#core/errors.ts'
import {
  commaList,
  describeSettings,
  flag,
  oneOf,
  port,
  readSettings,
  type Setting,
  url,
  wholeNumber,
} from '#core/process/settings.ts'

const table = {
  port: {
    name: 'CLOUDSIGNAL_PORT',
    description: 'A port.',
    parse: port,
    default: 80,
  } satisfies Setting<number>,
  level: {
    name: 'CLOUDSIGNAL_LEVEL',
    description: 'A level.',
    parse: oneOf(['info', 'warn']),
    default: 'info',
  } satisfies Setting<'info' | 'warn'>,
  redis: {
    name: 'CLOUDSIGNAL_REDIS_URL',
    description: 'Redis.',
    parse: url('redis:'),
    isSecret: true,
  } satisfies Setting<string>,
}

function problemsOf(environment: Record<string, string>): string[] {
  try {
    readSettings(table, environment, ['CLOUDSIGNAL_BROKER_'])
    return []
  } catch (error) {
    if (!isDomainError(error, 'invalid-settings')) throw error
    return error.problems.map(describeProblem)
  }
}

describe('settings', () => {
  test('are read by type, with their defaults where nothing or an empty text stands', () => {
    const settings = readSettings(table, {
      CLOUDSIGNAL_REDIS_URL: 'redis://x',
      CLOUDSIGNAL_PORT: '',
      PATH: '/bin',
    })
    expect(settings).toEqual({ port: 80, level: 'info', redis: 'redis://x' })
  })

  test('report every problem at once, with field, value and remedy', () => {
    expect(
      problemsOf({ CLOUDSIGNAL_PORT: '99999', CLOUDSIGNAL_LEVEL: 'loud', CLOUDSIGNAL_PORTT: '1' }),
    ).toEqual([
      'CLOUDSIGNAL_PORT="99999": give a port number between 0 and 65535',
      'CLOUDSIGNAL_LEVEL="loud": give one of info, warn',
      'CLOUDSIGNAL_REDIS_URL: must be set: Redis.',
      'CLOUDSIGNAL_PORTT: is no setting; did you mean CLOUDSIGNAL_PORT? (--help lists all)',
    ])
  })

  test('never show the value of a secret one', () => {
    expect(problemsOf({ CLOUDSIGNAL_REDIS_URL: 'http://:hunter2@x' }).join()).not.toContain('hunter2')
    expect(describeSettings({ redis: { ...table.redis, default: 'redis://:hunter2@x' } })).not.toContain(
      'hunter2',
    )
  })

  test('of the other programs are left alone, of nobody are not', () => {
    const redis = { CLOUDSIGNAL_REDIS_URL: 'redis://x' }
    expect(problemsOf({ ...redis, CLOUDSIGNAL_BROKER_PORT: '1' })).toEqual([])
    expect(problemsOf({ ...redis, CLOUDSIGNAL_ZZZ: '1' })).toEqual([
      'CLOUDSIGNAL_ZZZ: is no setting; remove it (--help lists all)',
    ])
  })
})

test('texts are read strictly', () => {
  const refused = (value: unknown): boolean => typeof value === 'object' && value !== null && 'text' in value
  expect(['0', '65535'].map(port)).toEqual([0, 65_535])
  expect(['-1', '1.5', 'x', '65536', ' 1'].map(port).every(refused)).toBe(true)
  expect([wholeNumber(1, 9)('9'), refused(wholeNumber(1, 9)('10')), refused(wholeNumber(1, 9)('0'))]).toEqual(
    [9, true, true],
  )
  expect([flag('true'), flag('false'), refused(flag('yes'))]).toEqual([true, false, true])
  expect(commaList(' a, b,,c ')).toEqual(['a', 'b', 'c'])
  expect([
    url('https:')('https://x'),
    refused(url('https:')('http://x')),
    refused(url('https:')('x')),
  ]).toEqual(['https://x', true, true])
})
