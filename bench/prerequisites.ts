import { provide, type Requirement } from '../test/fixtures/debian-packages.ts'
import { prepareClientTools, prepareControlPlane } from '../test/fixtures/kubernetes-tools.ts'
import type { Scenario } from './scenario.ts'

const requirements: readonly Requirement[] = [
  { program: 'redis-server', package: 'redis-server', why: 'our broker runs on it', leastMajor: 7 },
  { program: 'mosquitto', package: 'mosquitto', why: 'what is compared with' },
  { program: 'mosquitto_passwd', package: 'mosquitto', why: "it hashes the peer's passwords" },
  { program: 'taskset', package: 'util-linux', why: 'each broker gets a core of its own' },
  { program: 'cc', package: 'gcc', why: 'it compiles the load generator' },
  { program: '/usr/include/stdio.h', package: 'libc6-dev', why: 'the load generator includes it' },
  { program: '/usr/include/openssl/ssl.h', package: 'libssl-dev', why: 'the load generator speaks TLS' },
]

const forControlPlane: readonly Requirement[] = [
  { program: 'unzip', package: 'unzip', why: 'it unpacks kubectl and helm' },
  { program: 'etcd', package: 'etcd-server', why: 'kube-apiserver keeps its objects in it' },
]

/** Makes ready what the benchmarks need beside node_modules. Resolves with what is missing still. */
export async function prepareBench(
  scenarios: readonly Pick<Scenario, 'needs'>[],
  say: (line: string) => void,
): Promise<readonly string[]> {
  if (process.platform !== 'linux') return ['benchmarks read /proc and use epoll: run them on Linux']
  const needsControlPlane = scenarios.some(({ needs }) => needs === 'control plane')
  const hasAssets = Boolean(process.env['KUBEBUILDER_ASSETS'])
  const extra = forControlPlane.filter(
    ({ program }) => needsControlPlane && !(hasAssets && program === 'etcd'),
  )
  const wanted = [...requirements, ...extra]
  const missing = (await provide(wanted, say)).map(([, problem]) => problem)
  return needsControlPlane && missing.length === 0 ? await prepareKubernetes(say) : missing
}

async function prepareKubernetes(say: (line: string) => void): Promise<readonly string[]> {
  const tools = await prepareClientTools()
  const source = await prepareControlPlane(say)
  const problem = source.kind === 'missing' ? source.reason : undefined
  const isForeign = source.kind === 'cluster'
  return [
    tools?.reason,
    problem,
    isForeign ? 'benchmarks run on an API server of their own: unset KUBECONFIG_TEST' : undefined,
  ].filter((line) => line !== undefined)
}
