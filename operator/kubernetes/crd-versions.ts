import { readFile } from 'node:fs/promises'
import { DomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { resourceKindNames, resourceKinds } from '#core/resources/index.ts'
import { apiGroup, schemaVersionAnnotation } from '#core/resources/resource.ts'
import { isApiError } from '../../kubernetes/api-error.ts'
import type { KubernetesApi } from '../runtime/kubernetes-api.ts'
import type { KubernetesObject, ResourceType } from '../runtime/objects.ts'
import { sleep, type Time } from '../runtime/time.ts'

const crdType: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  namespaced: false,
}
const directory = new URL('../../crds/', import.meta.url)
const firstRetryMs = 1_000
const longestRetryMs = 30_000

export interface CrdCheckOptions {
  readonly api: Pick<KubernetesApi, 'get'>
  readonly time: Time
  readonly log: Log
  /** Ends the waiting for the API server: it then rejects with its reason. */
  readonly signal: AbortSignal
}

/**
 * Resolves once the installed kinds are known to be as new as this operator: on older ones an API server would take away
 * fields that it counts on, without a word. Waits for an API server that does not answer. Rejects with `crds-outdated`.
 */
export async function checkCrdVersions(options: CrdCheckOptions): Promise<void> {
  const { log } = options
  const outdated: string[] = []
  for (const [name, needed] of await neededVersions()) {
    const found = await installedVersion(name, options)
    if (found === 'unknown') {
      log.warn(
        { name },
        `no right to get customresourcedefinitions: whether they are as new as this operator is not known; after an update run ${mendingCommand}`,
      )
      return
    }
    if (found < needed) {
      outdated.push(found === -1 ? `${name} is not installed` : `${name} has ${found}, ${needed} is needed`)
    }
  }
  if (outdated.length === 0) return
  throw new DomainError(
    'crds-outdated',
    `the CustomResourceDefinitions are older than this operator (${schemaVersionAnnotation}: ${outdated.join('; ')}): ` +
      `run ${mendingCommand} with the files of this release, or helm upgrade with crds.install=true`,
  )
}

const mendingCommand = 'kubectl apply --server-side --force-conflicts -f crds/'

/** As the files say that this program came with. */
async function neededVersions(): Promise<readonly (readonly [name: string, version: number])[]> {
  return Promise.all(
    resourceKindNames.map(async (kind) => {
      const { plural } = resourceKinds[kind]
      const text = await readFile(new URL(`${plural}.yaml`, directory), 'utf8')
      const version = new RegExp(`${schemaVersionAnnotation}: "(\\d+)"`).exec(text)?.[1]
      return [`${plural}.${apiGroup}`, Number(version)] as const
    }),
  )
}

/** -1 where it is not installed, 0 where it says nothing. */
async function installedVersion(
  name: string,
  { api, time, log, signal }: CrdCheckOptions,
): Promise<number | 'unknown'> {
  for (let waitMs = firstRetryMs; ; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
    signal.throwIfAborted()
    try {
      const { metadata } = await api.get<KubernetesObject>(crdType, { name }, { metadataOnly: true, signal })
      return Number(metadata.annotations?.[schemaVersionAnnotation] ?? 0) || 0
    } catch (error) {
      if (isApiError(error, 'not-found')) return -1
      if (isApiError(error, 'forbidden')) return 'unknown'
      if (!isApiError(error)) throw error
      log.warn(errorFields(error), 'the API server does not say which kinds are installed; asking again')
    }
    await sleep(time, waitMs, signal)
  }
}
