import { commentExamples, withExamples } from './comment-examples.ts'
import { manyValues } from './render.ts'

type NamedValues = readonly [name: string, values: object]

const hosts = ['redis-0.redis:6379', 'redis-1.redis:6379']

/** Values with which the chart makes what every API server knows. Many of them limit the operator to `namespaces`. */
export const valueMatrix = (namespaces: readonly string[]): readonly NamedValues[] => [
  ['by default', {}],
  ['with many values', { ...manyValues, operator: { ...manyValues.operator, namespaces } }],
  ['with a Redis of its own', { redis: { mode: 'development' } }],
  [
    'with Sentinels, and a user of Redis for each program',
    {
      redis: {
        mode: 'sentinel',
        hosts,
        sentinelMaster: 'mqtt',
        secretName: 'redis',
        users: {
          operator: { name: 'operator', passwordKey: 'operator' },
          broker: { name: 'broker', passwordKey: 'broker' },
          tokenService: { name: 'token-service', passwordKey: 'token-service' },
          sentinel: { name: 'watcher', passwordKey: 'sentinel' },
        },
      },
    },
  ],
  ['with a Redis Cluster, TLS and no password', { redis: { mode: 'cluster', hosts, secretName: '' } }],
  [
    'with the Users API and dashboards',
    { tokenService: { usersApi: { enabled: true } }, monitoring: { dashboards: { enabled: true } } },
  ],
  [
    'with everything that scales, and nothing that is counted twice',
    {
      broker: { autoscaling: { enabled: true }, service: { type: 'NodePort' } },
      tokenService: { autoscaling: { enabled: true } },
      networkPolicy: { enabled: true },
      podDisruptionBudget: { enabled: false },
      rbac: { aggregate: false },
    },
  ],
  ['with the examples of its comments', withExamples(commentExamples, namespaces)],
  [
    'on OpenShift',
    { podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null }, crds: { install: false } },
  ],
]

/** Values with which it makes objects of other projects' kinds too. */
export const foreignMatrix: readonly NamedValues[] = [
  [
    'with monitors, rules and a Certificate',
    {
      monitoring: { monitors: { enabled: true }, rules: { enabled: true } },
      broker: { tls: { certManager: { enabled: true, issuerRef: { name: 'ca' } } } },
    },
  ],
  [
    'with all that can be said of monitors, rules and a Certificate',
    {
      monitoring: {
        monitors: {
          enabled: true,
          labels: { release: 'prometheus' },
          interval: '1m30s',
          scrapeTimeout: '10s',
        },
        rules: {
          enabled: true,
          labels: { release: 'prometheus' },
          alertLabels: { team: 'messaging' },
          runbookUrl: 'https://runbooks.example.com/mqtt',
        },
      },
      broker: {
        host: 'mqtt.example.com',
        tls: {
          certManager: {
            enabled: true,
            issuerRef: { name: 'letsencrypt', kind: 'ClusterIssuer' },
            dnsNames: ['mqtt.example.org'],
            duration: '2160h',
            renewBefore: '360h',
          },
        },
      },
    },
  ],
]
