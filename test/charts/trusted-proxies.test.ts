import { describe, expect, test } from 'vitest'
import { readSettings } from '#core/process/settings.ts'
import { brokerSettings } from '../../broker/settings.ts'
import { environmentOf, render } from './render.ts'

type Values = Readonly<Record<string, unknown>>
const fromOutside = (values: Values): object => ({
  broker: { service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }, ...values },
})

async function environment(values: object): Promise<Readonly<Record<string, string>>> {
  return environmentOf(await render(values), 'broker')
}

describe('the PROXY protocol', () => {
  test('is believed of nobody by default', async () => {
    expect(readSettings(brokerSettings, await environment({})).proxies).toBeUndefined()
  })

  test('is believed of those that are named', async () => {
    const given = fromOutside({
      proxyProtocolFrom: ['10.3.0.0/16', '192.0.2.7', 'fd00:1::/32', '10.0.0.0/8'],
    })
    const { proxies } = readSettings(brokerSettings, await environment(given))
    const asked = ['10.3.4.5', '192.0.2.7', '192.0.2.8', 'fd00:1::9', 'fd00:2::9']
    expect(asked.map((address) => proxies?.has(address))).toEqual([true, true, false, true, false])
  })

  test.each(['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/7', '2000::/3', 'fc00::/6'])(
    'is not believed of a range as wide as %s',
    async (range) => {
      await expect(render(fromOutside({ proxyProtocolFrom: ['10.3.0.0/16', range] }))).rejects.toThrow(
        `broker.proxyProtocolFrom holds ${range}, from which anybody could pretend to be somebody else`,
      )
    },
  )

  // These hold all of IPv4, or all of everything.
  test.each(['::/0', '::ffff:0:0/96', '0::/8'])('is not believed of %s', async (range) => {
    await expect(render(fromOutside({ proxyProtocolFrom: [range] }))).rejects.toThrow(
      "at '/broker/proxyProtocolFrom/0'",
    )
  })

  test.each([
    ['LoadBalancer', ''],
    ['LoadBalancer', 'Cluster'],
    ['NodePort', ''],
  ])(
    'is refused with a Service of type %s and policy "%s", which hides who connects',
    async (type, policy) => {
      const service = { type, externalTrafficPolicy: policy }
      await expect(render({ broker: { service, proxyProtocolFrom: ['10.3.0.0/16'] } })).rejects.toThrow(
        `broker.proxyProtocolFrom needs broker.service.externalTrafficPolicy Local with type ${type}`,
      )
    },
  )

  test('needs no such policy where only the cluster reaches the Service', async () => {
    await expect(render({ broker: { proxyProtocolFrom: ['10.3.0.0/16'] } })).resolves.toBeDefined()
  })
})

test('X-Forwarded-For is not believed of everybody', async () => {
  await expect(render({ tokenService: { trustedProxies: ['0.0.0.0/0'] } })).rejects.toThrow(
    'tokenService.trustedProxies holds 0.0.0.0/0, from which anybody could pretend to be somebody else',
  )
})
