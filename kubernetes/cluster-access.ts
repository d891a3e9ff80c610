/**
 * Where the API server is and how to prove who we are. Asked before every request, so that rotated tokens and
 * certificates take effect without a restart.
 *
 * In a Pod the mounted service account is read here rather than by @kubernetes/client-node: loading that
 * package costs about 90 MB of memory, nearly half of what the whole operator may use.
 */
import { readFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'

export interface ClusterAccess {
  /** `https://host:port`, possibly followed by a path. */
  readonly server: string
  /** The namespace of the Pod or of the kubeconfig's context, when there is one. */
  readonly namespace: string | undefined
  /** TLS material, Authorization header and, behind a proxy only, an agent. */
  connection(): Promise<RequestOptions>
  /** Called after a 401: the next connection() reads the credentials anew where it can. */
  refresh(): void
}

/** Ms of a clock that never goes back. */
interface Stopwatch {
  monotonic(): number
}

export interface AccessOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly time: Stopwatch
  /** A kubeconfig file; without it the mounted service account, else what kubectl would take. */
  readonly kubeconfig?: string
}

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

export async function findClusterAccess(options: AccessOptions): Promise<ClusterAccess> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = options.environment
  if (options.kubeconfig === undefined && host && port) {
    return serviceAccountAccess(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, options.time)
  }
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  if (options.kubeconfig === undefined) config.loadFromDefault()
  else config.loadFromFile(options.kubeconfig)
  return kubeConfigAccess(config)
}

export type KubeConfigPart = Pick<
  KubeConfig,
  'getCurrentCluster' | 'getContextObject' | 'getCurrentContext' | 'applyToHTTPSOptions'
>

/** Throws when the kubeconfig has no current cluster. */
export function kubeConfigAccess(config: KubeConfigPart): ClusterAccess {
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw new Error('the kubeconfig has no current cluster')
  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    refresh() {},
    async connection() {
      const options: RequestOptions = {}
      await config.applyToHTTPSOptions(options)
      // Its agent keeps the first certificate for ever and no connection alive; only a proxy needs it.
      if (!cluster.proxyUrl) delete options.agent
      return options
    },
  }
}

const tokenLifetimeMs = 60_000

/** The token is re-read every minute and after a 401, as client-go does: the kubelet replaces it on disk. */
export async function serviceAccountAccess(
  server: string,
  time: Stopwatch,
  folder: string = serviceAccountFolder,
): Promise<ClusterAccess> {
  const namespace = await readFile(`${folder}/namespace`, 'utf8').catch(() => undefined)
  let read: { options: RequestOptions; at: number } | undefined
  const readOptions = async (): Promise<RequestOptions> => {
    const [token, ca] = await Promise.all([readFile(`${folder}/token`, 'utf8'), readFile(`${folder}/ca.crt`)])
    return { ca, headers: { Authorization: `Bearer ${token.trim()}` } }
  }
  return {
    server,
    namespace,
    refresh() {
      read = undefined
    },
    async connection() {
      if (read === undefined || time.monotonic() - read.at >= tokenLifetimeMs) {
        read = { options: await readOptions(), at: time.monotonic() }
      }
      return read.options
    },
  }
}
