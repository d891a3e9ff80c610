import { describe, expect, test } from 'vitest'
import { readSettings } from '#core/process/settings.ts'
import { programSettings as settings } from './program-settings.ts'
import {
  type Container,
  containerOf,
  environmentOf,
  manyValues,
  podOf,
  programs,
  render,
  type RenderedObject,
} from './render.ts'

const byDefault = await render()
const withMany = await render(manyValues)

describe('the environment that the chart gives', () => {
  for (const program of programs) {
    test.each([
      ['by default', byDefault],
      ['with many values', withMany],
    ])(`holds settings that the ${program} knows and can read, %s`, (_, objects) => {
      const environment = environmentOf(objects, program)
      expect(() => readSettings(settings[program], environment)).not.toThrow()
    })

    test(`names the probe port of the ${program} as its container does`, () => {
      const container = containerOf(byDefault, program)
      const { probePort } = readSettings(settings[program], environmentOf(byDefault, program))
      expect(container.ports).toContainEqual({ name: 'probes', containerPort: probePort })
    })
  }

  test('takes the URL of Redis from a Secret, of a key of its own for each program', () => {
    const sources = programs.map((program) => {
      const variable = containerOf(withMany, program).env.find(({ name }) => name === 'CLOUDSIGNAL_REDIS_URL')
      return variable?.valueFrom?.secretKeyRef
    })
    expect(sources).toEqual(['a', 'b', 'c'].map((key) => ({ name: 'redis', key })))
  })

  test.each(programs)(
    'gives the %s the files of a Redis with TLS from one Secret, and none by default',
    (program) => {
      const files = ({ env, volumeMounts = [] }: Container): readonly (string | undefined)[] =>
        ['CA', 'CERT', 'KEY'].map((kind) => {
          const path = env.find(({ name }) => name === `CLOUDSIGNAL_REDIS_${kind}_FILE`)?.value
          const mount = volumeMounts.find(({ mountPath }) => path?.startsWith(`${mountPath}/`))
          return mount && `${mount.name} ${path?.slice(mount.mountPath.length + 1)}`
        })
      expect(files(containerOf(byDefault, program))).toEqual([undefined, undefined, undefined])
      expect(files(containerOf(withMany, program))).toEqual(
        ['ca.crt', 'tls.crt', 'tls.key'].map((file) => `redis-tls ${file}`),
      )
      const { volumes = [] } = podOf(withMany, program).spec
      expect(volumes.find(({ name }) => name === 'redis-tls')?.secret?.secretName).toBe('redis-tls')
    },
  )

  test('gives the sealing keys to operator and token service, and never to the broker', () => {
    const nameOf = (objects: readonly RenderedObject[], program: (typeof programs)[number]): string => {
      const { env, volumeMounts = [] } = containerOf(objects, program)
      const path = env.find(({ name }) => name === 'CLOUDSIGNAL_SEALING_KEYS_FILE')?.value
      const mount = volumeMounts.find(({ mountPath }) => path?.startsWith(`${mountPath}/`))
      const { volumes = [] } = podOf(objects, program).spec
      return `${path} of ${volumes.find(({ name }) => name === mount?.name)?.secret?.secretName}`
    }
    for (const [objects, secret] of [
      [byDefault, 'cs-cloudsignal-sealing'],
      [withMany, 'own-sealing-keys'],
    ] as const) {
      expect(programs.map((program) => nameOf(objects, program))).toEqual([
        `/etc/cloudsignal/sealing/keys of ${secret}`,
        'undefined of undefined',
        `/etc/cloudsignal/sealing/keys of ${secret}`,
      ])
      expect(JSON.stringify(podOf(objects, 'broker'))).not.toMatch(/sealing/i)
    }
    const given = { CLOUDSIGNAL_REDIS_URL: 'redis://r', CLOUDSIGNAL_SEALING_KEYS_FILE: '/keys' }
    const refused = {
      problems: expect.arrayContaining([expect.objectContaining({ field: 'CLOUDSIGNAL_SEALING_KEYS_FILE' })]),
    }
    expect(() => readSettings(settings.broker, given)).toThrow(expect.objectContaining(refused))
  })

  test('needs no certificate of the programs where only the authority is given', async () => {
    const objects = await render({ redis: { tls: { secretName: 'ca' } } })
    const names = containerOf(objects, 'broker').env.map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('CLOUDSIGNAL_REDIS_'))).toEqual([
      'CLOUDSIGNAL_REDIS_URL',
      'CLOUDSIGNAL_REDIS_CA_FILE',
    ])
  })

  test.each([
    ['by default', byDefault, 'cs-cloudsignal-broker.messaging.svc', 8883, 18_885, undefined],
    ['with many values', withMany, 'mqtt.example.com', 8884, 443, 'wss://ws.example.com/'],
  ])('tells operator and token service where clients find the broker, %s', (_, objects, ...where) => {
    const [host, mqtts, wss, throughIngress] = where
    const operator = readSettings(settings.operator, environmentOf(objects, 'operator'))
    expect(operator).toMatchObject({
      mqttHost: host,
      mqttsPort: mqtts,
      wssPort: wss,
      wssUrl: throughIngress ?? '',
    })
    const { mqttsUrl, wssUrl } = readSettings(
      settings['token-service'],
      environmentOf(objects, 'token-service'),
    )
    expect([mqttsUrl, wssUrl]).toEqual([
      `mqtts://${host}:${mqtts}`,
      throughIngress ?? `wss://${host}:${wss}/`,
    ])
  })

  test('opens the ports of the broker and the token service that their containers name', () => {
    const broker = containerOf(byDefault, 'broker')
    const { mqttsPort, wssPort } = readSettings(settings.broker, environmentOf(byDefault, 'broker'))
    expect(broker.ports).toContainEqual({ name: 'mqtts', containerPort: mqttsPort })
    expect(broker.ports).toContainEqual({ name: 'wss', containerPort: wssPort })
    const tokenService = containerOf(byDefault, 'token-service')
    const { httpPort } = readSettings(settings['token-service'], environmentOf(byDefault, 'token-service'))
    expect(tokenService.ports).toContainEqual({ name: 'http', containerPort: httpPort })
  })
})
