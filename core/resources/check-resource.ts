import type { AccessRule } from '#core/access/access-rule.ts'
import { templateProblem } from '#core/access/identity-variables.ts'
import { isTopicFilter } from '#core/access/topic-filter.ts'
import type { Problem } from '#core/errors.ts'
import { wellKnownAttributes } from '#core/identity/attributes.ts'
import { checkMetadata, isFields, type ManifestMetadata } from './check-metadata.ts'
import { closestName } from './closest-name.ts'
import {
  type AnyResource,
  isResourceKindName,
  type ResourceKindName,
  resourceKindNames,
  resourceKinds,
  type ResourceOf,
} from './index.ts'
import { apiGroup, apiVersion, type ResourceKind } from './resource.ts'
import { schemaProblems, unknownField } from './schema-problems.ts'

/** An object as a person writes it: what the host adds (uid, generation, status) is not there yet. */
export type ResourceManifest = {
  [Kind in ResourceKindName]: {
    readonly apiVersion: string
    readonly kind: Kind
    readonly metadata: ManifestMetadata
    readonly spec: ResourceOf[Kind]['spec']
  }
}[ResourceKindName]

export type CheckedResource =
  | { readonly resource: ResourceManifest; readonly problems?: undefined }
  | { readonly problems: readonly Problem[]; readonly resource?: undefined }

/**
 * The verdict of an API server with our CRDs, without one: the object, or every problem with it, each with the
 * field, what stands there and what to do. `old` is the same object before the change: some fields can not be
 * changed. Beyond what a CRD can say, topic templates and patterns are read as the data plane will read them.
 */
export function checkResource(value: unknown, old?: AnyResource): CheckedResource {
  if (!isFields(value)) {
    return {
      problems: [{ field: 'kind', remedy: 'give an object with apiVersion, kind, metadata and spec' }],
    }
  }
  const kindName = value['kind']
  if (typeof kindName !== 'string' || !isResourceKindName(kindName)) {
    return { problems: [...apiVersionProblems(value['apiVersion']), unknownKind(kindName)] }
  }
  const metadata = checkMetadata(value['metadata'])
  const problems = [
    ...apiVersionProblems(value['apiVersion']),
    ...unknownTopFields(value),
    ...('problems' in metadata ? metadata.problems : []),
    ...specProblems(kindName, value['spec'], nameOf(value['metadata']), old),
  ]
  if (problems.length > 0 || 'problems' in metadata) return { problems }
  const resource = { apiVersion: ownApiVersion, kind: kindName, metadata, spec: value['spec'] }
  return { resource: resource as ResourceManifest }
}

const ownApiVersion = `${apiGroup}/${apiVersion}`

function apiVersionProblems(found: unknown): Problem[] {
  if (found === ownApiVersion) return []
  const shown = found === undefined ? {} : { value: found }
  return [{ field: 'apiVersion', ...shown, remedy: `give ${ownApiVersion}` }]
}

function unknownKind(found: unknown): Problem {
  const shown = found === undefined ? {} : { value: found }
  const closest = typeof found === 'string' ? closestName(found, resourceKindNames) : undefined
  const hint = closest === undefined ? '' : `; did you mean ${closest}?`
  return { field: 'kind', ...shown, remedy: `give one of ${resourceKindNames.join(', ')}${hint}` }
}

const topFields = ['apiVersion', 'kind', 'metadata', 'spec', 'status']

function unknownTopFields(value: Readonly<Record<string, unknown>>): Problem[] {
  return Object.keys(value)
    .filter((name) => !topFields.includes(name))
    .map((name) => ({ field: name, remedy: unknownField(name, topFields) }))
}

function nameOf(metadata: unknown): string | undefined {
  const name = isFields(metadata) ? metadata['name'] : undefined
  return typeof name === 'string' ? name : undefined
}

function specProblems(
  kindName: ResourceKindName,
  spec: unknown,
  name: string | undefined,
  old: AnyResource | undefined,
): readonly Problem[] {
  if (spec === undefined || spec === null) {
    return [{ field: 'spec', remedy: 'must be given: what the object is to be' }]
  }
  // Each kind's rules take its own spec, which its schema has proved by then.
  const kind = resourceKinds[kindName] as unknown as ResourceKind
  const problems = schemaProblems(kind.spec, spec, 'spec')
  if (problems.length > 0 || name === undefined) return problems
  return [
    ...kind.rules
      .filter((rule) => !rule.holds({ name, spec }, old))
      .map((rule) => ({ field: rule.field, ...foundAt(spec, rule.field), remedy: rule.remedy })),
    ...dataPlaneProblems(kindName, spec),
  ]
}

/** The value that a rule blames, where it is short enough to show. */
function foundAt(spec: unknown, field: string): { value?: unknown } {
  const [, ...steps] = field.split('.')
  let value = spec
  for (const step of steps) value = isFields(value) ? value[step] : undefined
  return typeof value === 'object' || value === undefined ? {} : { value }
}

/** What no CRD can say of a spec: topic templates and patterns that the data plane could not use. */
export function dataPlaneProblems(kind: ResourceKindName, spec: unknown): readonly Problem[] {
  return dataPlaneChecks[kind]?.(spec) ?? []
}

const dataPlaneChecks: { readonly [Kind in ResourceKindName]?: (spec: unknown) => readonly Problem[] } = {
  AccessList: (spec) => topicProblems((spec as ResourceOf['AccessList']['spec']).rules, 'spec.rules'),
  MqttUser: (spec) => topicProblems((spec as ResourceOf['MqttUser']['spec']).access ?? [], 'spec.access'),
  ApiKey: (spec) => patternProblems((spec as ResourceOf['ApiKey']['spec']).agentIdPattern),
}

function topicProblems(rules: readonly AccessRule[], path: string): Problem[] {
  return rules.flatMap((rule, ruleIndex) =>
    rule.topics.flatMap((topic, topicIndex) => {
      const problem = templateProblem(topic, isTopicFilter)
      if (problem === undefined) return []
      const field = `${path}[${ruleIndex}].topics[${topicIndex}]`
      return [{ field, value: topic, remedy: `${problem}; ${topicAdvice(problem)}` }]
    }),
  )
}

function topicAdvice(problem: string): string {
  if (problem.includes('variable {')) return `use ${wellKnownAttributes.join(', ')} or claims.<name>`
  return problem.includes('brace')
    ? 'write a variable as {username}'
    : 'write # only as the last level and + only as a whole one, such as devices/+/state or devices/#'
}

function patternProblems(pattern: string | undefined): Problem[] {
  if (pattern === undefined) return []
  try {
    RegExp(pattern, 'u')
    return []
  } catch {
    return [{ field: 'spec.agentIdPattern', value: pattern, remedy: 'give a regular expression' }]
  }
}
