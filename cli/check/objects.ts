import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { errorFromStatus, isApiError } from '../../kubernetes/api-error.ts'
import type { ClusterAccess } from '../../kubernetes/cluster-access.ts'
import { createHttpTransport, type HttpTransport } from '../../kubernetes/http-transport.ts'
import { type Manifest, ownLabel } from './throw-away-objects.ts'

const apiVersion = 'cloudsignal.app/v1alpha1'
const everyMs = 200

interface Live {
  readonly kind: string
  readonly metadata: {
    readonly uid: string
    readonly generation?: number
    readonly labels?: Readonly<Record<string, string>>
    readonly ownerReferences?: readonly { readonly uid: string }[]
  }
  readonly data?: Readonly<Record<string, string>>
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { type: string; status: string; reason: string; message?: string }[]
  }
}

/** The throw-away objects in one namespace of the cluster. */
export class Objects {
  readonly #transport: HttpTransport
  readonly #namespace: string
  readonly #timeoutMs: number

  constructor(access: ClusterAccess, namespace: string, timeoutMs: number) {
    this.#transport = createHttpTransport(access)
    this.#namespace = namespace
    this.#timeoutMs = timeoutMs
  }

  async create({ kind, plural, name, spec }: Manifest): Promise<void> {
    const metadata = { name, namespace: this.#namespace, labels: { [ownLabel]: 'true' } }
    await this.#call('POST', this.#path(plural), { apiVersion, kind, metadata, spec })
  }

  async untilReady({ kind, plural, name }: Manifest): Promise<void> {
    let last = 'the operator has said nothing of it'
    await this.#until(
      async () => {
        const { metadata, status } = await this.#call<Live>('GET', this.#path(plural, name))
        const ready = status?.conditions?.find(({ type }) => type === 'Ready')
        if (ready !== undefined) last = `${ready.reason}: ${ready.message ?? ''}`
        return ready?.status === 'True' && status?.observedGeneration === metadata.generation
      },
      () => `${kind} ${name} does not become Ready: ${last}`,
    )
  }

  /** What is in a Secret, as text. */
  async secret(name: string): Promise<Readonly<Record<string, string>>> {
    const { data = {} } = await this.#call<Live>('GET', this.#secretPath(name))
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    )
  }

  async removeAll(manifests: readonly Manifest[]): Promise<void> {
    const removed: (readonly [manifest: Manifest, uid: string])[] = []
    for (const manifest of manifests) {
      const path = this.#path(manifest.plural, manifest.name)
      const live = await this.#find(path)
      if (live === undefined) continue
      if (live.metadata.labels?.[ownLabel] !== 'true') {
        throw new Error(
          `${live.kind} ${manifest.name} is there, and no check has made it: give another --name`,
        )
      }
      await this.#delete(path)
      removed.push([manifest, live.metadata.uid])
    }
    for (const [{ kind, plural, name, secret }, uid] of removed) {
      await this.#until(
        async () => (await this.#find(this.#path(plural, name))) === undefined,
        () => `${kind} ${name} is deleted, and does not go: the operator has to let it`,
      )
      if (secret !== undefined) await this.#deleteOf(this.#secretPath(secret), uid)
    }
  }

  close(): void {
    this.#transport.close()
  }

  async #delete(path: string): Promise<void> {
    await this.#call('DELETE', path).catch(unlessGone)
  }

  /** Kubernetes does it too, some time later; another check would find it in its way. */
  async #deleteOf(path: string, owner: string): Promise<void> {
    const live = await this.#find(path)
    if (live?.metadata.ownerReferences?.some(({ uid }) => uid === owner)) await this.#delete(path)
  }

  async #find(path: string): Promise<Live | undefined> {
    return this.#call<Live>('GET', path).catch(unlessGone)
  }

  #secretPath(name: string): string {
    return `/api/v1/namespaces/${this.#namespace}/secrets/${name}`
  }

  #path(plural: string, name?: string): string {
    const path = `/apis/${apiVersion}/namespaces/${this.#namespace}/${plural}`
    return name === undefined ? path : `${path}/${name}`
  }

  async #call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const response = await this.#transport.send({
      method,
      path,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(this.#timeoutMs),
      longLived: false,
    })
    const { statusCode: status = 0 } = response
    const answer = JSON.parse((await text(response)) || '{}') as Answer
    if (status >= 300) {
      throw errorFromStatus(answer, { request: `${method} ${path}`, status, confidential: false })
    }
    return answer
  }

  async #until(holds: () => Promise<boolean>, otherwise: () => string): Promise<void> {
    const end = performance.now() + this.#timeoutMs
    while (!(await holds())) {
      if (performance.now() > end) throw new Error(otherwise())
      await pause(everyMs)
    }
  }
}

function unlessGone(error: unknown): undefined {
  if (!isApiError(error, 'not-found')) throw error
}
