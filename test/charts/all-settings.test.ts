import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readSettings } from '#core/process/settings.ts'
import { programSettings as settings } from './program-settings.ts'
import { containerOf, environmentOf, manyValues, programs, render } from './render.ts'

/** Settings that no value of the chart sets, each with the reason: a table of its README. */
const withoutValue = new Map(
  readFileSync('charts/cloudsignal/README.md', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, names = '', reason = ''] = /^\| (`CLOUDSIGNAL_[^|]+) \| ([^|]+) \|$/.exec(line) ?? []
      return [...names.matchAll(/\w+/g)].map(([name]) => [name, reason] as const)
    }),
)

/** What each pod decides for itself, whatever the values are. */
const decidedByChart: Readonly<Record<string, string>> = {
  CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE: 'it is the namespace of the release',
  CLOUDSIGNAL_PROBE_PORT: 'probes and monitors name it',
  CLOUDSIGNAL_BROKER_MQTTS_PORT: 'the Service sends its own port there',
  CLOUDSIGNAL_BROKER_WSS_PORT: 'the Service sends its own port there',
  CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: 'the Service sends its own port there',
  CLOUDSIGNAL_BROKER_TLS_CERT_FILE: 'broker.tls names the Secret that is mounted there',
  CLOUDSIGNAL_BROKER_TLS_KEY_FILE: 'broker.tls names the Secret that is mounted there',
  CLOUDSIGNAL_SEALING_KEYS_FILE: 'sealing.secretName names the Secret that is mounted there',
}

type Program = (typeof programs)[number]

const byDefault = await render()
const withMany = await render({
  ...manyValues,
  operator: { ...manyValues.operator, installation: 'edge' },
  tokenService: { ...manyValues.tokenService, allowPrivateIssuers: true, usersApi: { enabled: true } },
})

describe.each(programs)('of the settings of the %s', (program) => {
  const table: Readonly<Record<string, { readonly name: string; readonly default?: unknown }>> =
    settings[program]
  const names = Object.values(table).map(({ name }) => name)
  const rendered = environmentOf(withMany, program)

  test('each has a value in the chart, or a reason why it has none', () => {
    const known = names.filter((name) => !withoutValue.has(name))
    expect(
      Object.keys(rendered)
        .filter((name) => name.startsWith('CLOUDSIGNAL_'))
        .toSorted(),
    ).toEqual(known.toSorted())
  })

  test('each that has a value follows it', () => {
    const before = environmentOf(byDefault, program)
    const unmoved = names.filter((name) => rendered[name] !== undefined && rendered[name] === before[name])
    expect(
      unmoved.filter((name) => decidedByChart[name] === undefined && name !== 'CLOUDSIGNAL_REDIS_URL'),
    ).toEqual([])
  })

  test('each is by default what it is without the chart, but for where things are', () => {
    const read = readSettings(settings[program], environmentOf(byDefault, program)) as Record<string, unknown>
    const others = Object.entries(table)
      .filter(([key, setting]) => 'default' in setting && String(read[key]) !== String(setting.default))
      .map(([, { name }]) => name)
    expect(others.toSorted()).toEqual(setByChart[program])
  })
})

/** Where things are in this cluster: the programs can not know. */
const setByChart: Readonly<Record<Program, readonly string[]>> = {
  operator: [
    'CLOUDSIGNAL_OPERATOR_LEASE_NAME',
    'CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE',
    'CLOUDSIGNAL_OPERATOR_MQTT_HOST',
    'CLOUDSIGNAL_SEALING_KEYS_FILE',
  ],
  broker: [],
  'token-service': [
    'CLOUDSIGNAL_SEALING_KEYS_FILE',
    'CLOUDSIGNAL_TOKEN_SERVICE_MQTTS_URL',
    'CLOUDSIGNAL_TOKEN_SERVICE_WSS_URL',
  ],
}

test('the exceptions are settings that there are', () => {
  const names = new Set(
    programs.flatMap((program) => Object.values(settings[program]).map(({ name }) => name)),
  )
  const exceptions = [...withoutValue.keys(), ...Object.keys(decidedByChart)]
  expect(exceptions.filter((name) => !names.has(name))).toEqual([])
  expect([...withoutValue.values()].filter((reason) => reason.length < 20)).toEqual([])
})

test('one limit of a person is counted by token service and broker alike', () => {
  expect(environmentOf(withMany, 'broker')['CLOUDSIGNAL_BROKER_SUBJECT_PER_MINUTE']).toBe('7')
  expect(environmentOf(withMany, 'token-service')['CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE']).toBe('7')
})

test('what extraEnv names is taken from there, once', async () => {
  const extraEnv = [{ name: 'CLOUDSIGNAL_BROKER_WORKERS', value: '4' }]
  const { env } = containerOf(await render({ broker: { workers: 2, extraEnv } }), 'broker')
  expect(env.filter(({ name }) => name === 'CLOUDSIGNAL_BROKER_WORKERS')).toEqual(extraEnv)
  const names = env.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
