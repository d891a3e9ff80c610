import { errorFields, type Log } from '#core/process/logger.ts'
import { mqttUserKind, type MqttUser } from '#core/resources/mqtt-user.ts'
import { apiGroup, apiVersion } from '#core/resources/resource.ts'
import { ApiError, type ApiErrorCode, isApiError } from '../../kubernetes/api-error.ts'
import type { ClusterClient, ClusterRequest } from './cluster-client.ts'
import {
  isOwn,
  type NewUser,
  ownLabel,
  type SpecChange,
  type UserHome,
  type UserPage,
  type UserResources,
  UserResourcesError,
  type UserResourcesFailure,
} from './user-resources.ts'

const group = `${apiGroup}/${apiVersion}`
const strict = { fieldValidation: 'Strict' } as const

/** MqttUsers in the Kubernetes API. */
export class KubernetesUsers implements UserResources {
  readonly #client: Pick<ClusterClient, 'request'>
  readonly #log: Log

  constructor(client: Pick<ClusterClient, 'request'>, log: Log) {
    this.#client = client
    this.#log = log
  }

  create(home: UserHome, { name, annotations, spec }: NewUser): Promise<MqttUser> {
    const labels = { [ownLabel.name]: ownLabel.value }
    const metadata = { name, namespace: home.namespace, labels, annotations }
    const body = { apiVersion: group, kind: mqttUserKind.kind, metadata, spec }
    return this.#ask<MqttUser>({ method: 'POST', path: pathOf(home.namespace), query: strict, body })
  }

  async get(home: UserHome, name: string): Promise<MqttUser | undefined> {
    const request = { method: 'GET', path: pathOf(home.namespace, name) } as const
    const user = await this.#ask<MqttUser | undefined>(request, () => undefined)
    return user !== undefined && isOwn(user, home) ? user : undefined
  }

  async list(home: UserHome, limit: number, cursor: string | undefined): Promise<UserPage> {
    const query = {
      labelSelector: `${ownLabel.name}=${ownLabel.value}`,
      fieldSelector: `spec.organizationRef.name=${home.organization}`,
      limit: String(limit),
      ...(cursor === undefined ? {} : { continue: cursor }),
    }
    const request = { method: 'GET', path: pathOf(home.namespace), query } as const
    const page = await this.#ask<ListBody>(request).catch((error: UserResourcesError) => {
      // Beside the cursor, nothing of the request is the caller's.
      const isCursor = cursor !== undefined && isApiError(error.cause, 'gone', 'invalid')
      throw isCursor ? new UserResourcesError('cursor', error.cause) : error
    })
    const users = (page.items ?? []).filter((user) => isOwn(user, home))
    const next = page.metadata?.continue ?? ''
    return next === '' ? { users } : { users, next }
  }

  change({ metadata }: MqttUser, spec: SpecChange): Promise<MqttUser> {
    const { namespace, name, uid, resourceVersion } = metadata
    const request = {
      method: 'PATCH',
      path: pathOf(namespace, name),
      query: strict,
      body: { metadata: { uid, resourceVersion }, spec },
      contentType: 'application/merge-patch+json',
    } as const
    return this.#ask<MqttUser>(request, (error) => {
      throw new UserResourcesError('conflict', error)
    })
  }

  async remove({ metadata: { namespace, name, uid } }: MqttUser): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } }
    await this.#ask({ method: 'DELETE', path: pathOf(namespace, name), body }, () => undefined)
  }

  /** `gone` answers where there is no such object. */
  async #ask<Answer>(request: ClusterRequest, gone?: (error: ApiError) => Answer): Promise<Answer> {
    try {
      return (await this.#client.request(request)) as Answer
    } catch (error) {
      if (!isApiError(error)) throw error
      // Without this reason it is the path that is not served, as where our CRDs are missing.
      if (gone !== undefined && error.code === 'not-found' && error.reason === 'NotFound') return gone(error)
      const failure = failures[error.code] ?? 'unavailable'
      if (failure === 'unavailable' || failure === 'not-allowed') {
        this.#log.warn(errorFields(error), 'users can not be read or changed')
      }
      throw new UserResourcesError(failure, error)
    }
  }
}

interface ListBody {
  readonly items?: readonly MqttUser[]
  readonly metadata?: { readonly continue?: string }
}

const failures: { readonly [Code in ApiErrorCode]?: UserResourcesFailure } = {
  'already-exists': 'already-exists',
  conflict: 'conflict',
  forbidden: 'not-allowed',
  gone: 'conflict',
  invalid: 'refused',
}

function pathOf(namespace: string, ...name: readonly string[]): string {
  const steps = [namespace, mqttUserKind.plural, ...name].map((step) => encodeURIComponent(step))
  return `/apis/${group}/namespaces/${steps.join('/')}`
}
