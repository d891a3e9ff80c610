import { Gauge, type Registry } from 'prom-client'
import { resourceKindNames } from '#core/resources/index.ts'
import type { KubernetesObject } from '../runtime/objects.ts'
import type { ClusterCache } from './cluster-cache.ts'

interface WithConditions extends KubernetesObject {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason: string
    }[]
  }
}

/** How many objects of each kind are ready, and why the others are not: counted when somebody asks. */
export function showResources(registry: Registry, cache: Pick<ClusterCache, 'of'>): void {
  const gauge: Gauge<'kind' | 'ready' | 'reason'> = new Gauge({
    registers: [registry],
    name: 'cloudsignal_operator_resources',
    help: 'Objects, by their Ready condition and its reason',
    labelNames: ['kind', 'ready', 'reason'],
    collect() {
      gauge.reset()
      for (const kind of resourceKindNames) {
        gauge.inc({ kind, ready: 'False', reason: 'none' }, 0)
        for (const object of cache.of(kind).store.list()) {
          const conditions = (object as WithConditions).status?.conditions
          const { status, reason } = conditions?.find(({ type }) => type === 'Ready') ?? {
            status: 'Unknown',
            reason: 'none',
          }
          gauge.inc({ kind, ready: status, reason })
        }
      }
    },
  })
}
