import type { MqttUser, MqttUserSpec } from '#core/resources/mqtt-user.ts'

/** Where the users of an organization are: its namespace, and the name of its Organization there. */
export interface UserHome {
  readonly namespace: string
  readonly organization: string
}

/** Says that an MqttUser was made by the Users API: it reads and changes no other. */
export const ownLabel = { name: 'cloudsignal.app/managed-by', value: 'users-api' } as const

export interface NewUser {
  /** `metadata.name`. */
  readonly name: string
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: MqttUserSpec
}

/** Fields of the spec to replace; null takes one away. */
export type SpecChange = {
  readonly [Field in keyof MqttUserSpec]?: MqttUserSpec[Field] | null
}

export interface UserPage {
  readonly users: readonly MqttUser[]
  /** Where the next page begins; absent on the last one. */
  readonly next?: string
}

/**
 * Where MqttUsers are kept: the Kubernetes API, or a directory of manifests. It shows and touches those only that
 * carry `ownLabel` and belong to the home. Every method rejects with a UserResourcesError.
 */
export interface UserResources {
  /** Rejects with `already-exists` where anybody has an object of that name. */
  create(home: UserHome, user: NewUser): Promise<MqttUser>
  get(home: UserHome, name: string): Promise<MqttUser | undefined>
  /** In one order, a page at a time. Rejects with `cursor` where that is too old, or no one of ours. */
  list(home: UserHome, limit: number, cursor: string | undefined): Promise<UserPage>
  /** Rejects with `conflict` when it is no longer as it was read. */
  change(user: MqttUser, spec: SpecChange): Promise<MqttUser>
  /** Deletes this very one; does nothing when it is gone. Rejects with `conflict` when another has its name. */
  remove(user: MqttUser): Promise<void>
}

/**
 * - `already-exists` `conflict` `cursor`  as said above
 * - `refused`      what is kept there does not take the object; a rule that we do not know
 * - `not-allowed`  the service may not do this in that namespace
 * - `unavailable`  nobody answered, or not in time: nothing is known
 */
export type UserResourcesFailure =
  | 'already-exists'
  | 'conflict'
  | 'cursor'
  | 'refused'
  | 'not-allowed'
  | 'unavailable'

export class UserResourcesError extends Error {
  readonly failure: UserResourcesFailure

  constructor(failure: UserResourcesFailure, cause: unknown) {
    super(cause instanceof Error ? cause.message : failure, { cause })
    this.name = 'UserResourcesError'
    this.failure = failure
  }
}

/** Whether it is one of the home's that the Users API made. */
export function isOwn({ metadata, spec }: MqttUser, home: UserHome): boolean {
  const { name, namespace = metadata.namespace } = spec.organizationRef
  return (
    metadata.labels?.[ownLabel.name] === ownLabel.value &&
    metadata.namespace === home.namespace &&
    namespace === home.namespace &&
    name === home.organization
  )
}
