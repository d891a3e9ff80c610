import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { parseSealingKeys } from '#core/sealing/sealing-keys.ts'
import {
  chartDirectory,
  manyValues,
  ofKind,
  podOf,
  type PodSpec,
  type PolicyRule,
  programs,
  render,
  type RenderedObject,
  runHelm,
} from './render.ts'
import { foreignMatrix, valueMatrix } from './value-matrix.ts'

const byDefault = await render()
const withMany = await render(manyValues)

describe('the chart', () => {
  test.each([...valueMatrix(['team-a']), ...foreignMatrix])(
    'passes helm lint, strictly, %s',
    async (_, values) => {
      const linted = runHelm(['lint', '--strict', chartDirectory, '--values', '-'], JSON.stringify(values))
      await expect(linted).resolves.toContain('0 chart(s) failed')
    },
  )

  test('does not pass it with a value that it does not know', async () => {
    const linted = runHelm(['lint', '--strict', chartDirectory, '--values', '-'], '{"brokers":{}}')
    await expect(linted).rejects.toThrow(/brokers/)
  })

  test('installs the kinds of crds/ unchanged, and keeps them when it is uninstalled', () => {
    const directory = new URL('../../crds/', import.meta.url)
    const wanted = readdirSync(directory).map(
      (name) => parse(readFileSync(new URL(name, directory), 'utf8')) as Crd,
    )
    const rendered = ofKind(byDefault, 'CustomResourceDefinition')
    expect(wanted).toHaveLength(5)
    expect(rendered.map(({ metadata, spec }) => [metadata.name, spec])).toEqual(
      wanted.map(({ metadata, spec }) => [metadata.name, spec]),
    )
    const keep = { 'helm.sh/resource-policy': 'keep' }
    const own = wanted.map(({ metadata }) => metadata.annotations)
    expect(rendered.map(({ metadata }) => metadata.annotations)).toEqual(
      own.map((each) => ({ ...each, ...keep })),
    )
    const unkept = ofKind(withMany, 'CustomResourceDefinition')
    expect(unkept.map(({ metadata }) => metadata.annotations)).toEqual(own)
    expect(own[0]?.['cloudsignal.app/schema-version']).toMatch(/^\d+$/)
  })

  test('leaves the kinds to somebody else when told so', async () => {
    expect(ofKind(await render({ crds: { install: false } }), 'CustomResourceDefinition')).toEqual([])
  })

  test('lets no program of one replica block a drain', () => {
    const names = (objects: typeof byDefault): readonly string[] =>
      ofKind(objects, 'PodDisruptionBudget').map(({ metadata }) => metadata.name)
    expect(names(byDefault)).toHaveLength(3)
    // Autoscaling decides by its least.
    expect(names(withMany)).toEqual(['mqtt-broker'])
  })

  test('has cert-manager make the certificate of the broker for the names that clients use', async () => {
    const tls = { certManager: { enabled: true, issuerRef: { name: 'ca' }, dnsNames: ['mqtt.example.org'] } }
    const objects = await render({ broker: { host: 'mqtt.example.com', tls } })
    expect(ofKind(objects, 'Certificate').map(({ spec }) => spec)).toMatchObject([
      {
        secretName: 'cs-cloudsignal-broker-tls',
        issuerRef: { name: 'ca', kind: 'Issuer' },
        dnsNames: expect.arrayContaining([
          'cs-cloudsignal-broker.messaging.svc',
          'mqtt.example.com',
          'mqtt.example.org',
        ]) as string[],
      },
    ])
    // Which public authorities sign.
    const outside = { certManager: { ...tls.certManager, serviceNames: false } }
    const [certificate] = ofKind(
      await render({ broker: { host: 'mqtt.example.com', tls: outside } }),
      'Certificate',
    )
    expect(certificate?.spec?.['dnsNames']).toEqual(['mqtt.example.com', 'mqtt.example.org'])
    await expect(render({ broker: { tls: outside } })).rejects.toThrow(/broker.host must be given/)
    const withoutIssuer = render({ broker: { tls: { certManager: { enabled: true } } } })
    await expect(withoutIssuer).rejects.toThrow(/issuerRef.name must name an issuer/)
  })

  test('makes sealing keys that the programs can read, unless it is given some', async () => {
    const [secret, ...others] = ofKind(byDefault, 'Secret')
    expect(others).toEqual([])
    expect(secret?.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' })
    const text = Buffer.from(secret?.data?.['keys'] ?? '', 'base64').toString()
    expect(parseSealingKeys(text)).toBeDefined()
    const [another] = ofKind(await render(), 'Secret')
    expect(another?.data).not.toEqual(secret?.data)
    expect(ofKind(withMany, 'Secret')).toEqual([])
  })

  test('keeps names within the limit however long the release is called', async () => {
    const objects = await render({ fullnameOverride: 'x'.repeat(60) })
    const long = objects.filter(({ kind, metadata }) => kind !== 'ClusterRole' && metadata.name.length > 63)
    expect(long.filter(({ kind }) => kind === 'Service' || kind === 'Deployment')).toEqual([])
  })
})

describe('the rights of the chart', () => {
  const isFor = ({ metadata }: RenderedObject, component: string): boolean =>
    metadata.labels?.['app.kubernetes.io/component'] === component
  const isOfPeople = (object: RenderedObject): boolean => isFor(object, 'rbac') || isFor(object, 'test')
  const rulesOf = (objects: typeof byDefault): readonly PolicyRule[] =>
    objects
      .filter((object) => /^(Cluster)?Role$/.test(object.kind) && !isOfPeople(object))
      .flatMap((role) => (role as unknown as { rules: readonly PolicyRule[] }).rules)

  test.each([
    ['by default', byDefault],
    ['with many values', withMany],
  ])('hold no wildcard and no deletion, %s', (_, objects) => {
    const rules = rulesOf(objects)
    expect(rules.length).toBeGreaterThan(0)
    for (const { apiGroups, resources, verbs } of rules) {
      expect([...apiGroups, ...resources, ...verbs]).not.toContain('*')
      expect(verbs.filter((verb) => verb.startsWith('delete'))).toEqual([])
      if (resources.includes('secrets')) expect(verbs).toEqual(['get', 'list', 'watch', 'create', 'patch'])
    }
  })

  test('hold no change of a Secret where no password is to be rotated', async () => {
    const rules = rulesOf(await render({ operator: { passwordRotation: false } }))
    const ofSecrets = rules.filter(({ resources }) => resources.includes('secrets'))
    expect(ofSecrets.map(({ verbs }) => verbs)).toEqual([['get', 'list', 'watch', 'create']])
  })

  test('change one Lease only, in the namespace of the release', () => {
    const leases = rulesOf(byDefault).filter(({ resources }) => resources.includes('leases'))
    const changing = leases.filter(({ verbs }) => verbs.includes('update'))
    expect(changing.map(({ resourceNames }) => resourceNames)).toEqual([['cs-cloudsignal-operator']])
    const roles = ofKind(byDefault, 'Role').filter((role) => isFor(role, 'operator'))
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['messaging'])
  })

  test('stay inside the namespaces of the operator where it has a list', () => {
    expect(ofKind(withMany, 'ClusterRole').filter((role) => !isOfPeople(role))).toEqual([])
    expect(ofKind(withMany, 'ClusterRoleBinding')).toEqual([])
    const roles = ofKind(withMany, 'Role').filter((role) => isFor(role, 'operator'))
    const namespaces = roles.map(({ metadata }) => metadata.namespace)
    expect(namespaces).toEqual(['team-a', 'team-b', 'messaging'])
  })

  test('let the token service manage permanent users where that is enabled, and nothing else', async () => {
    const usersApi = { enabled: true, namespaces: ['team-a', 'team-b'] }
    const objects = await render({ tokenService: { usersApi }, networkPolicy: { enabled: true } })
    const roles = ofKind(objects, 'Role').filter(({ metadata }) => metadata.name.endsWith('-users'))
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['team-a', 'team-b'])
    const rule = { apiGroups: ['cloudsignal.app'], resources: ['mqttusers'] }
    for (const role of roles) {
      expect(role).toMatchObject({
        rules: [{ ...rule, verbs: ['get', 'list', 'create', 'patch', 'delete'] }],
      })
    }
    const bindings = ofKind(objects, 'RoleBinding').filter(({ metadata }) => metadata.name.endsWith('-users'))
    const subject = { kind: 'ServiceAccount', name: 'cs-cloudsignal-token-service', namespace: 'messaging' }
    for (const binding of bindings) expect(binding).toMatchObject({ subjects: [subject] })
    expect(bindings).toHaveLength(2)
    const mounted = programs.map((program) => podOf(objects, program).spec.automountServiceAccountToken)
    expect(mounted).toEqual([true, false, true])
    const policy = ofKind(objects, 'NetworkPolicy').find(({ metadata }) =>
      metadata.name.endsWith('token-service'),
    )
    expect(JSON.stringify(policy?.spec?.['egress'])).toContain('6443')

    const here = await render({ tokenService: { usersApi: { enabled: true } } })
    const own = ofKind(here, 'Role').filter(({ metadata }) => metadata.name.endsWith('-users'))
    expect(own.map(({ metadata }) => metadata.namespace)).toEqual(['messaging'])
  })

  test('reach the API server from the operator only', () => {
    const mounted = programs.map((program) => podOf(byDefault, program).spec.automountServiceAccountToken)
    expect(mounted).toEqual([true, false, false])
    for (const account of ofKind(byDefault, 'ServiceAccount')) {
      expect(account).toMatchObject({ automountServiceAccountToken: false })
    }
  })
})

describe('the test of the chart', () => {
  const name = 'cs-cloudsignal-test'
  const hooks = byDefault.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === 'test')
  const roleIn = (objects: typeof byDefault): RenderedObject & { readonly rules?: readonly PolicyRule[] } =>
    objects.find(({ kind, metadata }) => kind === 'Role' && metadata.name.endsWith('-test')) ?? objects[0]!

  test('runs only when it is asked for, after what gives it its rights', () => {
    expect(hooks.map(({ kind, metadata }) => [kind, metadata.annotations?.['helm.sh/hook-weight']])).toEqual([
      ['ServiceAccount', '0'],
      ['Role', '0'],
      ['RoleBinding', '0'],
      ['Pod', '1'],
    ])
  })

  test('reads and deletes nothing but its own', () => {
    for (const { verbs, resourceNames } of roleIn(byDefault).rules ?? []) {
      if (verbs.includes('create')) expect(verbs).toEqual(['create'])
      else expect(resourceNames?.filter((each) => each.startsWith(name))).toEqual(resourceNames)
    }
  })

  test('makes its objects where the operator looks', () => {
    expect(roleIn(byDefault).metadata.namespace).toBe('messaging')
    expect(roleIn(withMany).metadata.namespace).toBe('team-a')
  })

  test('asks the Services, and wants the name that clients use', () => {
    const [pod] = ofKind(withMany, 'Pod') as unknown as readonly { readonly spec: PodSpec }[]
    expect(pod?.spec.containers[0].args).toEqual(
      expect.arrayContaining([
        '--mqtts=mqtt-broker.messaging.svc:8884',
        '--wss=mqtt-broker.messaging.svc:443',
        '--server-name=mqtt.example.com',
        '--tokens=http://mqtt-token-service.messaging.svc:80',
      ]),
    )
  })
})

describe('the pods of the chart', () => {
  test.each(programs)(
    'let the %s write nowhere, gain nothing and see no variables of Services',
    (program) => {
      const { containers, enableServiceLinks, serviceAccountName } = podOf(byDefault, program).spec
      expect(containers.map(({ securityContext }) => securityContext)).toEqual([
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      ])
      expect(enableServiceLinks).toBe(false)
      expect(serviceAccountName).toBe(`cs-cloudsignal-${program}`)
    },
  )

  test('run the image by its digest where one is given, otherwise by the version of the chart', () => {
    const image = (objects: typeof byDefault): string => podOf(objects, 'broker').spec.containers[0].image
    expect(image(byDefault)).toBe('ghcr.io/cloudsignal/cloudsignal:0.1.0')
    expect(image(withMany)).toBe(`ghcr.io/cloudsignal/cloudsignal@sha256:${'0'.repeat(64)}`)
  })

  test('are found by the Services and budgets of their program, and by no other', () => {
    for (const object of [...ofKind(byDefault, 'Service'), ...ofKind(byDefault, 'PodDisruptionBudget')]) {
      const selector = object.spec?.['selector'] as Labels & { readonly matchLabels?: Labels }
      const wanted = Object.entries(selector.matchLabels ?? selector)
      const found = programs.filter((program) => {
        const { labels } = podOf(byDefault, program).metadata
        return wanted.every(([name, value]) => labels[name] === value)
      })
      expect(found.map((program) => `cs-cloudsignal-${program}`)).toEqual([object.metadata.name])
    }
  })

  test('have every port that the Service of their program sends clients to', () => {
    const targets = ofKind(byDefault, 'Service').map(({ metadata, spec }) => {
      const ports = (spec?.['ports'] ?? []) as readonly { readonly targetPort: string }[]
      return [metadata.name, ports.map(({ targetPort }) => targetPort)]
    })
    expect(targets).toEqual([
      ['cs-cloudsignal-broker', ['mqtts', 'wss']],
      ['cs-cloudsignal-token-service', ['http']],
    ])
    const portsOf = (program: (typeof programs)[number]): readonly string[] =>
      podOf(byDefault, program).spec.containers[0].ports.map(({ name }) => name)
    expect(portsOf('broker')).toEqual(expect.arrayContaining(['mqtts', 'wss']))
    expect(portsOf('token-service')).toContain('http')
  })
})

type Labels = Readonly<Record<string, string>>

interface Crd {
  readonly metadata: {
    readonly name: string
    readonly annotations: Readonly<Record<string, string>>
  }
  readonly spec: object
}
