import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { findClientTools } from '../fixtures/kubernetes-tools.ts'

export const chartDirectory = fileURLToPath(new URL('../../charts/cloudsignal', import.meta.url))

/** What tests read of an object; the rest is there too. */
export interface RenderedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations?: Readonly<Record<string, string>>
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly data?: Readonly<Record<string, string>>
}

export interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

export interface EnvironmentVariable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } }
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly EnvironmentVariable[]
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } }
}

export interface PodSpec {
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly serviceAccountName: string
  readonly terminationGracePeriodSeconds: number
  readonly containers: readonly [Container]
  readonly volumes?: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[]
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: PodSpec
}

export const programs = ['operator', 'broker', 'token-service'] as const
export type ProgramName = (typeof programs)[number]

/** Values that use all that the chart offers, as far as an API server without other people's kinds accepts it. */
export const manyValues = {
  fullnameOverride: 'mqtt',
  commonLabels: { team: 'iot' },
  image: { digest: `sha256:${'0'.repeat(64)}`, pullPolicy: 'Always' },
  imagePullSecrets: [{ name: 'registry' }],
  logLevel: 'debug',
  audit: 'refusals',
  auditKept: { events: 0, hours: 24 },
  keyPrefix: 'edge',
  listenAddress: '::',
  global: { imagePullSecrets: [{ name: 'of-the-parent' }] },
  redis: {
    secretName: 'redis',
    urlKeys: { operator: 'a', broker: 'b', tokenService: 'c' },
    tls: { secretName: 'redis-tls', clientCertificate: true },
  },
  sealing: { secretName: 'own-sealing-keys' },
  networkPolicy: {
    enabled: true,
    mqttFrom: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.1/32'] } }],
    httpFrom: [{ namespaceSelector: { matchLabels: { name: 'ingress' } } }],
    metricsFrom: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'prometheus' } } }],
    redisTo: [{ ipBlock: { cidr: '10.1.0.0/16' } }],
    redisPorts: [6380],
    apiServerTo: [{ ipBlock: { cidr: '10.0.0.1/32' } }],
    apiServerPorts: [6443],
    issuersTo: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }],
    issuerPorts: [443, 8443],
  },
  crds: { keep: false },
  podDisruptionBudget: { maxUnavailable: '50%' },
  operator: {
    replicas: 1,
    namespaces: ['team-a', 'team-b'],
    leaseSeconds: 30,
    concurrency: 20,
    finalizerSeconds: 86_400,
    sweepPercent: 100,
    upkeepSeconds: 600,
    serviceAccount: { name: 'mqtt-operator', annotations: { note: 'text' } },
    extraEnv: [{ name: 'TZ', value: 'UTC' }],
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    priorityClassName: 'system-cluster-critical',
  },
  broker: {
    replicas: 3,
    host: 'mqtt.example.com',
    tls: { secretName: 'mqtt-tls' },
    service: {
      type: 'LoadBalancer',
      annotations: { note: 'text' },
      mqttsPort: 8884,
      wssPort: 443,
      loadBalancerClass: 'example.com/lb',
      loadBalancerSourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
    },
    ingress: {
      enabled: true,
      className: 'nginx',
      annotations: { 'nginx.ingress.kubernetes.io/backend-protocol': 'HTTPS' },
      host: 'ws.example.com',
      tlsSecretName: 'ws-tls',
    },
    autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 30, targetConnections: 5000 },
    workers: 'auto',
    resources: { limits: { cpu: 4 } },
    proxyProtocolFrom: ['10.3.0.0/16', '192.0.2.7', '2001:db8::/32'],
    expiryNoticeSeconds: 600,
    maxStalenessSeconds: 30,
    failedConnects: { perClient: 1_000_000, perName: 0, perAddress: 5 },
    passwordChecks: { hashing: 3, waiting: 10_000, perName: 1 },
    preStopSeconds: 15,
    drain: { delaySeconds: 10, seconds: 60, willSeconds: 30, serverReference: 'other.example.com:8883' },
    podAnnotations: { note: 'text' },
    podLabels: { tier: 'edge' },
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more', readOnly: true }],
    tolerations: [{ key: 'edge', operator: 'Exists' }],
    affinity: { podAntiAffinity: {} },
    topologySpreadConstraints: [
      {
        topologyKey: 'kubernetes.io/hostname',
        maxSkew: 1,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { tier: 'edge' } },
      },
    ],
  },
  tokenService: {
    replicas: 1,
    trustedProxies: ['10.2.0.0/16', 'fd00::1'],
    credentialsPerSubject: 5,
    limits: {
      keyPerMinute: 1_000_000_000,
      organizationPerMinute: 1_000_000,
      withoutKeyPerMinute: 6,
      subjectPerMinute: 7,
      addressPerMinute: 8,
      webhookPerMinute: 9,
    },
    preStopSeconds: 10,
    serviceAccount: { create: false },
    service: { port: 80 },
    ingress: { enabled: true, host: 'tokens.example.com', tlsSecretName: 'tokens-tls' },
    autoscaling: { enabled: true, minReplicas: 1 },
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
  },
  monitoring: { organizations: 10_000 },
  extraObjects: [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: '{{ .Release.Name }}-more', namespace: '{{ .Release.Namespace }}' },
    },
  ],
}

const { helm } = await findClientTools()

/** Runs helm without a cluster; rejects with what it says. */
export function runHelm(parameters: readonly string[], stdin = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(helm, parameters, { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${stderr}${stdout}`, { cause: error }))
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(stdin)
  })
}

export async function renderText(
  values: object = {},
  namespace = 'messaging',
  more: readonly string[] = [],
): Promise<string> {
  const parameters = ['template', 'cs', chartDirectory, '--namespace', namespace, '--values', '-', ...more]
  return runHelm(parameters, JSON.stringify(values))
}

export async function render(values: object = {}, namespace?: string): Promise<readonly RenderedObject[]> {
  const documents = parseAllDocuments(await renderText(values, namespace))
  // Such as a key that is there twice: some readers take the first, some the last, some neither.
  for (const { errors } of documents) if (errors[0] !== undefined) throw errors[0]
  return documents.map((document) => document.toJS() as RenderedObject | null).filter((one) => one !== null)
}

export function ofKind(objects: readonly RenderedObject[], kind: string): readonly RenderedObject[] {
  return objects.filter((object) => object.kind === kind)
}

/** The pod template of one program. */
export function podOf(objects: readonly RenderedObject[], program: ProgramName): PodTemplate {
  const deployment = ofKind(objects, 'Deployment').find(({ metadata }) => metadata.name.endsWith(program))
  if (deployment === undefined) throw new Error(`no Deployment of the ${program}`)
  return deployment.spec?.['template'] as PodTemplate
}

export function containerOf(objects: readonly RenderedObject[], program: ProgramName): Container {
  return podOf(objects, program).spec.containers[0]
}

/** What a program gets; Secrets hold the URL of a Redis. */
export function environmentOf(
  objects: readonly RenderedObject[],
  program: ProgramName,
): Readonly<Record<string, string>> {
  const { env } = containerOf(objects, program)
  return Object.fromEntries(env.map(({ name, value }) => [name, value ?? 'redis://redis:6379/0']))
}
