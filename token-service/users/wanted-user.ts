import type { AccessRule } from '#core/access/access-rule.ts'
import type { Problem } from '#core/errors.ts'
import { checkResource } from '#core/resources/check-resource.ts'
import { mqttUserKind, type MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { apiGroup, apiVersion } from '#core/resources/resource.ts'
import { ProblemError } from '../problems.ts'
import type { SpecChange } from './user-resources.ts'

/** What callers may say of a user, beside its name. */
export interface WantedUser {
  readonly lists?: readonly string[] | undefined
  readonly access?: readonly AccessRule[] | undefined
  readonly limits?: MqttUserSpec['limits'] | undefined
  readonly suspended?: boolean | undefined
}

/** Fields of the spec as they are asked for; what is empty is taken away. */
export function specChangeOf({ lists, access, limits, suspended }: WantedUser): SpecChange {
  return {
    ...(lists === undefined ? {} : { accessListRefs: orNull(lists.map((name) => ({ name }))) }),
    ...(access === undefined ? {} : { access: orNull([...access]) }),
    // A merge keeps what it does not name.
    ...(limits === undefined ? {} : { limits: Object.keys(limits).length === 0 ? null : allOf(limits) }),
    ...(suspended === undefined ? {} : { suspended: suspended ? true : null }),
  }
}

const orNull = <T>(list: T[]): T[] | null => (list.length === 0 ? null : list)

function allOf(limits: NonNullable<MqttUserSpec['limits']>): NonNullable<MqttUserSpec['limits']> {
  const none = { connections: null, messageRate: null, byteRate: null }
  return { ...none, ...limits } as unknown as NonNullable<MqttUserSpec['limits']>
}

/** The spec with a change made to it, as a JSON merge patch makes it. */
export function withChange(spec: MqttUserSpec, change: SpecChange): MqttUserSpec {
  const merged = Object.entries({ ...spec, ...change }).flatMap(([field, value]) => {
    if (value === null || value === undefined) return []
    return [[field, field === 'limits' ? withoutNulls(value as object) : value] as const]
  })
  return Object.fromEntries(merged) as unknown as MqttUserSpec
}

function withoutNulls(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}

const ownNames: Readonly<Record<string, string>> = {
  accessListRefs: 'access_lists',
  messageRate: 'message_rate',
  byteRate: 'byte_rate',
}

/** Refuses what the API server would, or what the data plane could not use, in the words of the request. */
export function checkSpec(name: string, spec: MqttUserSpec): void {
  const manifest = {
    apiVersion: `${apiGroup}/${apiVersion}`,
    kind: mqttUserKind.kind,
    metadata: { name },
    spec,
  }
  const problems = checkResource(manifest).problems ?? []
  if (problems.length > 0) throw new ProblemError('invalid_request', { errors: problems.map(asAsked) })
}

function asAsked({ field, ...problem }: Problem): Problem {
  const steps = field.replace(/^spec\./, '').split('.')
  const named = steps.map((step) => step.replace(/^\w+/, (word) => ownNames[word] ?? word))
  return { ...problem, field: named.join('.').replace(/^(access_lists\[\d+\])\.name$/, '$1') }
}
