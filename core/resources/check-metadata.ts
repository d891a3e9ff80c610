import type { Problem } from '#core/errors.ts'
import { fieldPath, unknownField } from './schema-problems.ts'

/** What a person says about an object beside its spec; the rest of its metadata is the host's. */
export interface ManifestMetadata {
  readonly name: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** RFC 1123. */
const subdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const labelName = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/** Of Kubernetes; what is not read here is left alone, so that output of `kubectl get -o yaml` is accepted. */
const knownFields = [
  'name',
  'namespace',
  'labels',
  'annotations',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'finalizers',
  'generateName',
  'managedFields',
  'ownerReferences',
  'selfLink',
]

/** The metadata of a manifest, or every problem with it. The namespace is `default` when absent, as with kubectl. */
export function checkMetadata(value: unknown): ManifestMetadata | { readonly problems: readonly Problem[] } {
  if (!isFields(value)) {
    const shown = value === undefined || typeof value === 'object' ? {} : { value }
    return {
      problems: [{ field: 'metadata', ...shown, remedy: 'must be given: fields with a name below it' }],
    }
  }
  const problems = [
    ...Object.keys(value)
      .filter((name) => !knownFields.includes(name))
      .map((name) => ({ field: fieldPath('metadata', [name]), remedy: unknownField(name, knownFields) })),
    ...nameProblems(value['name']),
    ...namespaceProblems(value['namespace']),
    ...mapProblems('labels', value['labels'], isLabelKey, isLabelValue),
    ...mapProblems('annotations', value['annotations'], isLabelKey, () => true),
  ]
  if (problems.length > 0) return { problems }
  return {
    name: value['name'] as string,
    namespace: (value['namespace'] ?? 'default') as string,
    labels: (value['labels'] ?? {}) as Record<string, string>,
    annotations: (value['annotations'] ?? {}) as Record<string, string>,
  }
}

export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nameProblems(name: unknown): Problem[] {
  if (typeof name === 'string' && name.length <= 253 && subdomain.test(name)) return []
  return [
    {
      field: 'metadata.name',
      ...(name === undefined ? {} : { value: name }),
      remedy: 'give a name of a-z, 0-9, - and . that begins and ends with a letter or digit',
    },
  ]
}

function namespaceProblems(namespace: unknown): Problem[] {
  if (namespace === undefined || (typeof namespace === 'string' && label.test(namespace))) return []
  return [
    {
      field: 'metadata.namespace',
      value: namespace,
      remedy: 'give at most 63 characters of a-z, 0-9 and -, or leave it out for default',
    },
  ]
}

function mapProblems(
  field: string,
  map: unknown,
  isKey: (key: string) => boolean,
  isValue: (value: string) => boolean,
): Problem[] {
  if (map === undefined || map === null) return []
  if (!isFields(map)) return [{ field: `metadata.${field}`, remedy: 'give names with texts' }]
  return Object.entries(map).flatMap(([key, value]) => {
    const path = fieldPath(`metadata.${field}`, [key])
    if (!isKey(key)) return [{ field: path, remedy: 'give a name such as team or example.com/team' }]
    if (typeof value !== 'string') return [{ field: path, value, remedy: 'give a text: put it in quotes' }]
    return isValue(value)
      ? []
      : [{ field: path, value, remedy: 'give at most 63 characters of A-Z, a-z, 0-9, -, _ and .' }]
  })
}

function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/')
  const prefix = key.slice(0, Math.max(slash, 0))
  const isRightPrefix = slash === -1 || (prefix.length <= 253 && subdomain.test(prefix))
  return isRightPrefix && labelName.test(key.slice(slash + 1))
}

const isLabelValue = (value: string): boolean => value === '' || labelName.test(value)
