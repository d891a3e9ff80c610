import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { beforeAll, describe, expect, test } from 'vitest'
import { chartDirectory, render } from './render.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly $defs?: Readonly<Record<string, Schema>>
}

const schema = JSON.parse(readFileSync(join(chartDirectory, 'values.schema.json'), 'utf8')) as Schema
const values = parse(readFileSync(join(chartDirectory, 'values.yaml'), 'utf8')) as object

const resolved = (schema: Schema, root: Schema): Schema =>
  schema.$ref === undefined ? schema : (root.$defs?.[schema.$ref.replace('#/$defs/', '')] ?? {})

/** Of our own values; what is handed on to Kubernetes is described by Kubernetes. */
function ownPaths(of: Schema): readonly (readonly [path: string, schema: Schema])[] {
  return Object.entries(of.properties ?? {}).flatMap(([name, inner]) => [
    [name, inner] as const,
    ...ownPaths(inner).map(([path, schema]) => [`${name}.${path}`, schema] as const),
  ])
}

function leavesOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).flatMap(([name, inner]) => [
    name,
    ...leavesOf(inner).map((path) => `${name}.${path}`),
  ])
}

const valueAt = (path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], values)

describe("the schema of the chart's values", () => {
  test('knows no value without a default and a description', () => {
    const paths = ownPaths(schema)
    expect(paths.length).toBeGreaterThan(100)
    expect(paths.filter(([path]) => valueAt(path) === undefined)).toEqual([])
    expect(paths.filter(([, { description = '' }]) => description.length < 5)).toEqual([])
  })

  test('knows every default', () => {
    const known = (path: string): boolean => {
      let place: Schema | undefined = schema
      for (const name of path.split('.')) {
        const { properties, additionalProperties } = resolved(place, schema)
        place = properties?.[name] ?? (additionalProperties ? (additionalProperties as Schema) : undefined)
        if (place === undefined) return false
      }
      return true
    }
    expect(leavesOf(values).filter((path) => !known(path))).toEqual([])
  })

  test('leaves open only what parents of a chart and Kubernetes fill in', () => {
    const open: string[] = []
    const look = (place: Schema, path: string): void => {
      const isOpen = place.type === 'object' && (place.additionalProperties ?? true) === true
      if (isOpen) open.push(path)
      for (const [name, inner] of Object.entries(place.properties ?? {})) look(inner, `${path}.${name}`)
      if (place.items !== undefined) look(place.items, `${path}[]`)
    }
    look({ ...schema, $defs: {} }, '')
    for (const [name, definition] of Object.entries(schema.$defs ?? {})) look(definition, name)
    expect(open).toEqual([
      '.global',
      '.extraObjects[]',
      'environmentVariable.valueFrom.secretKeyRef',
      'environmentVariable.valueFrom.configMapKeyRef',
      'environmentVariable.valueFrom.fieldRef',
      'environmentVariable.valueFrom.resourceFieldRef',
      'volume',
      'affinity.nodeAffinity',
      'affinity.podAffinity',
      'affinity.podAntiAffinity',
      'labelSelector.matchExpressions[]',
    ])
  })
})

/** By the path that helm has to name; what is wrong there. */
const bad: Readonly<Record<string, unknown>> = {
  '/brokr': {},
  '/commonLabels/team': 1,
  '/image/digest': 'sha256:abc',
  '/image/pullPolicy': 'Sometimes',
  '/image/repository': '',
  '/imagePullSecrets/0': {},
  '/logLevel': 'trace',
  '/audit': true,
  '/auditKept/events': -1,
  '/auditKept/days': 7,
  '/keyPrefix': 'CS:',
  '/listenAddress': '127.0.0.1',
  '/monitoring/organizations': 10_001,
  '/redis/mode': 'sentinels',
  '/redis/hosts/0': 'redis://redis:6379',
  '/redis/database': -1,
  '/redis/users/broker/name': 'a:b',
  '/redis/users/everybody': {},
  '/redis/urlKeys/operator': '',
  '/redis/tls/enabled': 'yes',
  '/redis/development/resources/request': {},
  '/crds/keep': 'false',
  '/rbac/aggregate': 1,
  '/podDisruptionBudget/maxUnavailable': 0,
  '/networkPolicy/mqttFrom/0': {},
  '/networkPolicy/redisPorts/0': 70_000,
  '/podSecurityContext/runAsNonRoot': false,
  '/podSecurityContext/runAsUser': 0,
  '/operator/replicas': '3',
  '/operator/leaseSeconds': 1,
  '/operator/concurrency': 0,
  '/operator/finalizerSeconds': 0,
  '/operator/sweepPercent': 101,
  '/operator/upkeepSeconds': 1.5,
  '/operator/namespaces/0': 'Team_A',
  '/operator/installation': '',
  '/operator/autoscaling': {},
  '/operator/extraEnv/0': { value: 'x' },
  '/operator/serviceAccount/create': 'no',
  '/broker/replica': 3,
  '/broker/host': 'https://mqtt.example.com',
  '/broker/service/type': 'ExternalName',
  '/broker/service/mqttsPort': 0,
  '/broker/service/externalTrafficPolicy': 'local',
  '/broker/tls/certManager/issuer': 'ca',
  '/broker/tls/certManager/serviceNames': 'no',
  '/broker/tls/certManager/duration': '90d',
  '/broker/ingress/host': 'ws_example',
  '/broker/autoscaling/minReplicas': 0,
  '/broker/autoscaling/scaleDownPeriodSeconds': 0,
  '/broker/terminationGracePeriodSeconds': -1,
  '/broker/workers': 0,
  '/broker/proxyProtocolFrom/0': 'balancer.example.com',
  '/broker/failedConnects/perAdress': 10,
  '/broker/failedConnects/perName': -1,
  '/broker/passwordChecks/hashing': 0,
  '/broker/passwordChecks/waiting': 10_001,
  '/broker/passwordChecks/perUser': 1,
  '/broker/maxStalenessSeconds': 61,
  '/broker/expiryNoticeSeconds': '5m',
  '/broker/drain/delaySeconds': 601,
  '/broker/drain/secondes': 10,
  '/broker/drain/serverReference': 8883,
  '/broker/extraVolumeMounts/0': { name: 'x' },
  '/broker/tolerations/0/effect': 'NoRun',
  '/broker/topologySpreadConstraints/0': { topologyKey: 'zone' },
  '/tokenService/trustedProxies/0': 'proxy',
  '/tokenService/credentialsPerSubject': 0,
  '/tokenService/limits/keyPerMinute': 0,
  '/tokenService/limits/perKey': 100,
  '/tokenService/limits/webhookPerMinute': 0.5,
  '/tokenService/ingress/tls': [],
  '/tokenService/autoscaling/targetCPUUtilizationPercentage': 0,
  '/tokenService/resources/limits/memory': true,
  '/extraObjects/0': {},
}

describe('a value that is wrong', () => {
  let said: string

  beforeAll(async () => {
    said = await render(allOf(bad)).then(
      () => 'nothing',
      (error: Error) => error.message,
    )
  })

  // Each is named by itself: a schema that accepted one would not be saved by the others.
  test.each(Object.keys(bad))('%s is refused by its name', (path) => {
    const place = path.split('/')
    const [parent, name] = [place.slice(0, -1).join('/'), place.at(-1)]
    const complaints = said
      .split('\n')
      .filter(
        (line) =>
          line.includes(`'${path}'`) || (line.includes(`at '${parent}'`) && line.includes(`'${name}'`)),
      )
    expect(complaints, said).not.toEqual([])
  })

  test.each([
    [{ redis: { hosts: ['redis:6379'] } }, /redis.hosts is given, and redis.mode is secret/],
    [{ redis: { secretName: '' } }, /redis.secretName must name/],
    [{ redis: { mode: 'sentinel' } }, /redis.hosts must name some/],
    [{ redis: { mode: 'standalone', hosts: ['a', 'b'] } }, /redis.hosts must name one/],
    [{ redis: { mode: 'cluster', hosts: ['a'], database: 1 } }, /redis.database must be 0/],
    [{ redis: { mode: 'development', tls: { enabled: true } } }, /redis.tls must be empty/],
    [{ redis: { tls: { clientCertificate: true } } }, /redis.tls.secretName must name/],
    [{ broker: { autoscaling: { enabled: true, minReplicas: 11 } } }, /maxReplicas of the broker/],
    [
      {
        broker: { autoscaling: { enabled: true, targetConnections: 0, targetCPUUtilizationPercentage: 0 } },
      },
      /broker.autoscaling needs/,
    ],
    [{ broker: { workers: 'auto' } }, /broker.workers auto needs broker.resources.limits.cpu/],
    [{ broker: { ingress: { enabled: true } } }, /ingress.host of the broker/],
    [{ tokenService: { ingress: { enabled: true, host: 'a.b' } } }, /ingress.tlsSecretName of the token-/],
    [{ broker: { tls: { certManager: { enabled: true } } } }, /issuerRef.name must name an issuer/],
    [{ commonLabels: { 'app.kubernetes.io/name': 'ours' } }, /commonLabels.app.kubernetes.io.+name/],
    [{ commonLabels: { 'helm.sh/chart': 'ours' } }, /commonLabels.helm.sh.+chart/],
    [
      { broker: { podLabels: { 'app.kubernetes.io/component': 'x' } } },
      /podLabels.app.kubernetes.io.+component/,
    ],
    [
      { monitoring: { rules: { labels: { 'app.kubernetes.io/part-of': 'x' } } } },
      /labels.app.kubernetes.io.+part-of/,
    ],
  ])('that contradicts another one, or the chart, is refused: %j', async (values, complaint) => {
    await expect(render(values)).rejects.toThrow(complaint)
  })
})

/** One object that has all of them. */
function allOf(paths: Readonly<Record<string, unknown>>): object {
  const all: Record<string, unknown> = {}
  for (const [path, value] of Object.entries(paths)) {
    const names = path.split('/').slice(1)
    const last = names.pop() ?? ''
    let place = all
    names.forEach((name, index) => {
      const next = names[index + 1] ?? last
      place[name] ??= next === '0' ? [] : {}
      place = place[name] as Record<string, unknown>
    })
    place[last] = value
  }
  return all
}
