import type { MqttUser } from '#core/resources/mqtt-user.ts'
import { ApiError } from '../../../kubernetes/api-error.ts'
import type { ClusterRequest } from '../../../token-service/users/cluster-client.ts'

/** As much of an API server as one user takes; no operator makes records of it. */
export class OneUserApi {
  user: MqttUser | undefined
  readonly requests: string[] = []
  /** Is asked before each request, and may throw. */
  before: (request: ClusterRequest) => void = () => {}
  status: MqttUser['status']

  async request(request: ClusterRequest): Promise<unknown> {
    this.requests.push(request.method)
    this.before(request)
    if (request.method === 'POST') {
      const { metadata, ...rest } = request.body as MqttUser
      const made = {
        uid: 'uid-1',
        generation: 1,
        resourceVersion: '1',
        creationTimestamp: '2026-11-25T08:00:00Z',
      }
      this.user = { ...rest, metadata: { ...metadata, ...made } }
      return this.user
    }
    if (this.user === undefined) throw new ApiError('not-found', 'gone', { status: 404, reason: 'NotFound' })
    if (request.method === 'DELETE') this.user = undefined
    return this.user === undefined || this.status === undefined
      ? this.user
      : { ...this.user, status: this.status }
  }
}
