import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControlPlane } from '../../test/fixtures/kubernetes.ts'
import type { OperatorCluster } from '../../test/fixtures/operator-cluster.ts'
import type { Tool, Workbench } from '../workbench.ts'
import { until } from './until.ts'

const program = join(import.meta.dirname, '../../operator/main.ts')
const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Runs "$@" where a Pod's service account is mounted, which nobody else sees. */
const asInPod = `
folder=$1; shift
mount -t tmpfs tmpfs /var/run
mkdir -p ${serviceAccountFolder}
cp "$folder"/* ${serviceAccountFolder}/
exec "$@"`

export interface BenchOperator {
  readonly tool: Tool
  /** Its name in the Lease. */
  readonly identity: string
  /** How it finds the API server, for people. */
  readonly mode: string
  /** When it was started, by `performance.now()`. */
  readonly startedAt: number
  /** Resolves once its caches hold everything, whether it leads or not. */
  untilReady(): Promise<void>
}

type Cluster = Pick<OperatorCluster, 'settings' | 'account'> & { readonly plane: ControlPlane }

/** Starts the operator as it runs in a Pod: by a service account's token, or by a kubeconfig where that can not be. */
export class OperatorStarter {
  readonly #bench: Workbench
  readonly #cluster: Cluster
  readonly #folder: string | undefined
  #started = 0

  private constructor(bench: Workbench, cluster: Cluster, folder: string | undefined) {
    this.#bench = bench
    this.#cluster = cluster
    this.#folder = folder
  }

  static async for(bench: Workbench, cluster: Cluster): Promise<OperatorStarter> {
    const folder = canMount() ? await writeServiceAccount(bench, cluster) : undefined
    const starter = new OperatorStarter(bench, cluster, folder)
    // As the image is built: what Node makes of the sources is there when a Pod starts.
    await starter.#run([program, '--help']).exited
    return starter
  }

  async start(): Promise<BenchOperator> {
    this.#started += 1
    const identity = `operator-${this.#started}`
    const startedAt = performance.now()
    const { profile } = this.#bench.options
    const profiled = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
    const tool = this.#run([...profiled, program], { CLOUDSIGNAL_OPERATOR_IDENTITY: identity })
    await tool.wrote(/"the operator runs"/)
    const [, port = ''] = await tool.wrote(/^\{.*"port":(\d+).*"probes are served".*\}$/m)
    const isReady = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
    const mode = this.#folder === undefined ? 'by a kubeconfig: with another client' : 'as in a Pod'
    const untilReady = () => until(`${identity} is ready`, isReady)
    return { tool, identity, mode, startedAt, untilReady }
  }

  #run(parameters: readonly string[], over: Readonly<Record<string, string>> = {}): Tool {
    const { cores, directory } = this.#bench
    const { hostname, port } = new URL(this.#cluster.plane.server)
    const command = [process.execPath, ...parameters]
    const [name = '', ...rest] =
      this.#folder === undefined
        ? command
        : [...unshare, 'sh', '-e', '-c', asInPod, 'pod', this.#folder, ...command]
    return this.#bench.start(cores.all, name, rest, {
      ...this.#cluster.settings,
      NODE_COMPILE_CACHE: join(directory, 'compile-cache'),
      ...(this.#folder === undefined
        ? { CLOUDSIGNAL_OPERATOR_KUBECONFIG: this.#cluster.account.kubeconfigPath }
        : { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }),
      ...over,
    })
  }
}

const unshare = process.getuid?.() === 0 ? ['unshare', '--mount'] : ['unshare', '--map-root-user', '--mount']

function canMount(): boolean {
  const [command = '', ...parameters] = unshare
  try {
    execFileSync(command, [...parameters, 'mount', '-t', 'tmpfs', 'tmpfs', '/var/run'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function writeServiceAccount(bench: Workbench, { plane, account }: Cluster): Promise<string> {
  const folder = join(bench.directory, 'serviceaccount')
  const { namespace, name } = account
  const { stdout } = await plane.kubectl(['create', 'token', name, '-n', namespace, '--duration=12h'])
  const config = JSON.parse(await readFile(plane.kubeconfigPath, 'utf8')) as {
    readonly clusters: readonly [{ readonly cluster: { readonly 'certificate-authority-data': string } }]
  }
  const ca = Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64')
  await mkdir(folder)
  for (const [file, content] of Object.entries({ token: stdout.trim(), 'ca.crt': ca, namespace })) {
    await writeFile(join(folder, file), content, { mode: 0o600 })
  }
  return folder
}
