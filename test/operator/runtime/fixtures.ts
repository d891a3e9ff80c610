/** Builders shared by the tests of the runtime. */
import type { ClusterAccess } from '../../../kubernetes/cluster-access.ts'
import { KubernetesApi, type KubernetesApiOptions } from '../../../operator/runtime/kubernetes-api.ts'
import type { KubernetesObject, ResourceType } from '../../../operator/runtime/objects.ts'
import type { FakeApiServer } from './fake-api-server.ts'

export interface Widget extends KubernetesObject {
  spec?: { size?: number; color?: string }
  status?: { ready?: boolean }
}

export const widgetType: ResourceType = {
  group: 'example.test',
  version: 'v1',
  plural: 'widgets',
  namespaced: true,
}
export const secretType: ResourceType = { group: '', version: 'v1', plural: 'secrets', namespaced: true }

export const widgetsOf = (namespace: string): string =>
  `/apis/example.test/v1/namespaces/${namespace}/widgets`

export function accessTo(server: FakeApiServer, token = 'token-1'): ClusterAccess & { refreshes: number } {
  const access = {
    server: server.url,
    namespace: 'a',
    refreshes: 0,
    connection: async () => ({ headers: { Authorization: `Bearer ${token}` } }),
    refresh() {
      access.refreshes += 1
    },
  }
  return access
}

export function apiOf(server: FakeApiServer, options: Partial<KubernetesApiOptions> = {}): KubernetesApi {
  return new KubernetesApi({ access: accessTo(server), ...options })
}

export const aWidget = (name: string, size = 1): { metadata: { name: string }; spec: { size: number } } => ({
  metadata: { name },
  spec: { size },
})
