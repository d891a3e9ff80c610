import { describe, expect, test } from 'vitest'
import { manyValues, ofKind, podOf, programs, render, type RenderedObject } from './render.ts'

const byDefault = await render()
const withMany = await render(manyValues)

const specs = (objects: readonly RenderedObject[], kind: string): readonly unknown[] =>
  ofKind(objects, kind).map(({ spec }) => spec)

describe('autoscaling', () => {
  test('is off by default, and then the number of pods is given', () => {
    expect(ofKind(byDefault, 'HorizontalPodAutoscaler')).toEqual([])
    expect(specs(byDefault, 'Deployment')).toMatchObject([{ replicas: 2 }, { replicas: 2 }, { replicas: 2 }])
  })

  test('decides alone how many pods there are', () => {
    const replicas = ofKind(withMany, 'Deployment').map(({ metadata, spec }) => [
      metadata.name,
      spec?.['replicas'],
    ])
    expect(Object.fromEntries(replicas)).toEqual({
      'mqtt-operator': 1,
      'mqtt-broker': undefined,
      'mqtt-token-service': undefined,
    })
  })

  test('of the broker follows connections and CPU, and takes one pod at a time away, slowly', () => {
    const [broker] = ofKind(withMany, 'HorizontalPodAutoscaler')
    expect(broker?.spec).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: 'mqtt-broker' },
      minReplicas: 3,
      maxReplicas: 30,
      metrics: [
        {
          type: 'Pods',
          pods: {
            metric: { name: 'cloudsignal_broker_connections' },
            target: { type: 'AverageValue', averageValue: '5000' },
          },
        },
        { type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 80 } } },
      ],
      behavior: {
        scaleUp: { stabilizationWindowSeconds: 0 },
        scaleDown: {
          stabilizationWindowSeconds: 900,
          policies: [{ type: 'Pods', value: 1, periodSeconds: 300 }],
        },
      },
    })
  })

  test.each([
    [{ targetConnections: 0 }, ['Resource']],
    [{ targetCPUUtilizationPercentage: 0 }, ['Pods']],
  ])('of the broker leaves out what is 0: %j', async (over, types) => {
    const objects = await render({ broker: { autoscaling: { enabled: true, ...over } } })
    const [spec] = specs(objects, 'HorizontalPodAutoscaler') as readonly { metrics: { type: string }[] }[]
    expect(spec?.metrics.map(({ type }) => type)).toEqual(types)
  })

  test('of the token service follows CPU', () => {
    expect(specs(withMany, 'HorizontalPodAutoscaler')[1]).toMatchObject({
      scaleTargetRef: { name: 'mqtt-token-service' },
      metrics: [{ type: 'Resource' }],
    })
  })
})

describe('an Ingress', () => {
  test('is made for nobody by default', () => {
    expect(ofKind(byDefault, 'Ingress')).toEqual([])
  })

  test('leads to the port of the Service, with TLS', () => {
    expect(
      ofKind(withMany, 'Ingress').map(({ metadata, spec }) => ({ name: metadata.name, ...spec })),
    ).toEqual(
      [
        ['mqtt-broker', 'ws.example.com', 'ws-tls', 'wss'],
        ['mqtt-token-service', 'tokens.example.com', 'tokens-tls', 'http'],
      ].map(([name, host, secretName, port]) => ({
        name,
        ...(name === 'mqtt-broker' ? { ingressClassName: 'nginx' } : {}),
        tls: [{ hosts: [host], secretName }],
        rules: [
          {
            host,
            http: {
              paths: [
                { path: '/', pathType: 'Prefix', backend: { service: { name, port: { name: port } } } },
              ],
            },
          },
        ],
      })),
    )
  })
})

describe('a NetworkPolicy', () => {
  interface Rule {
    readonly ports: readonly { readonly port: string | number; readonly protocol?: string }[]
    readonly from?: readonly object[]
    readonly to?: readonly object[]
  }
  interface Policy {
    readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> }
    readonly policyTypes: readonly string[]
    readonly ingress: readonly Rule[]
    readonly egress: readonly Rule[]
  }
  const policyOf = (objects: readonly RenderedObject[], program: string): Policy | undefined =>
    ofKind(objects, 'NetworkPolicy').find(({ metadata }) => metadata.name.endsWith(`-${program}`))
      ?.spec as unknown as Policy | undefined

  test('is made for nobody by default', () => {
    expect(ofKind(byDefault, 'NetworkPolicy')).toEqual([])
  })

  test.each(programs)('chooses the pods of the %s, for both directions', (program) => {
    const policy = policyOf(withMany, program)
    const { labels } = podOf(withMany, program).metadata
    expect(labels).toMatchObject(policy?.podSelector.matchLabels ?? { none: '' })
    expect(policy?.policyTypes).toEqual(['Ingress', 'Egress'])
  })

  test('opens the ports of clients to everybody, those of probes to nobody, unless told otherwise', async () => {
    const objects = await render({ networkPolicy: { enabled: true } })
    expect(programs.map((program) => policyOf(objects, program)?.ingress)).toEqual([
      [],
      [{ ports: [{ port: 'mqtts' }, { port: 'wss' }] }],
      [{ ports: [{ port: 'http' }] }],
    ])
  })

  test('opens ports to those who are named', () => {
    const { mqttFrom, httpFrom, metricsFrom } = manyValues.networkPolicy
    const probes = { ports: [{ port: 'probes' }], from: metricsFrom }
    expect(programs.map((program) => policyOf(withMany, program)?.ingress)).toEqual([
      [probes],
      [{ ports: [{ port: 'mqtts' }, { port: 'wss' }], from: mqttFrom }, probes],
      [{ ports: [{ port: 'http' }], from: httpFrom }, probes],
    ])
  })

  test('lets only the operator reach the API server, and only the token service reach issuers', () => {
    const { redisTo, apiServerTo, issuersTo } = manyValues.networkPolicy
    const dns = {
      ports: [
        { port: 53, protocol: 'UDP' },
        { port: 53, protocol: 'TCP' },
      ],
    }
    const redis = { ports: [{ port: 6380 }], to: redisTo }
    expect(programs.map((program) => policyOf(withMany, program)?.egress)).toEqual([
      [dns, redis, { ports: [{ port: 6443 }], to: apiServerTo }],
      [dns, redis],
      [dns, redis, { ports: [{ port: 443 }, { port: 8443 }], to: issuersTo }],
    ])
  })
})

describe('rights of people', () => {
  test('can be left out', async () => {
    const objects = await render({ rbac: { aggregate: false } })
    expect(ofKind(objects, 'ClusterRole')).toHaveLength(1)
  })

  test('let everybody with view read, edit change users, and admin alone decide whom to trust', () => {
    const roles = ofKind(byDefault, 'ClusterRole').flatMap(({ metadata, ...role }) => {
      const { rules } = role as unknown as { rules: { resources: string[]; verbs: string[] }[] }
      const to = Object.keys(metadata.labels ?? {})
        .filter((label) => label.includes('aggregate-to-'))
        .map((label) => label.replace(/.*-to-/, ''))
      return to.map((name) => [name, rules[0]?.resources.length, rules[0]?.verbs[0]] as const)
    })
    expect(roles.toSorted()).toEqual([
      ['admin', 3, 'create'],
      ['admin', 5, 'create'],
      ['admin', 5, 'get'],
      ['edit', 3, 'create'],
      ['edit', 5, 'get'],
      ['view', 5, 'get'],
    ])
  })
})
