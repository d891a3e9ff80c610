import type { ResourceKindName } from '#core/resources/index.ts'

/** Which object, of a kind that is known from where this stands. */
export interface ResourceName {
  readonly namespace: string
  readonly name: string
}

/** One object of any kind. */
export interface ResourceAddress extends ResourceName {
  readonly kind: ResourceKindName
}

/** An object as the ledger names it. */
export function ownerOf({ kind, namespace, name }: ResourceAddress): string {
  return `${kind} ${namespace}/${name}`
}

/** The other way round: no kind has a space in it, and no name a `/`. */
export function objectOf(owner: string): ResourceAddress {
  const [kind, namespace = '', name = ''] = owner.split(/[ /]/)
  return { kind: kind as ResourceKindName, namespace, name }
}

/**
 * Makes the records of one object follow it. Reads the state itself, so it may run at any time, any number of
 * times, also for an object that is gone. Rejects when it could not finish and should be tried again.
 */
export interface Reconciler {
  readonly kind: ResourceKindName
  reconcile(of: ResourceName): Promise<ReconcileOutcome>
  /** Other objects that have to be reconciled when this one changed, appeared or went. */
  dependents(of: ResourceName): readonly ResourceAddress[]
}

export interface ReconcileOutcome {
  /** Again after so many ms, although nothing changes: an overlap ends, a rotation is due. */
  readonly againAfterMs?: number
  /** Records were left for the sweep. */
  readonly mustSweep?: true
}
