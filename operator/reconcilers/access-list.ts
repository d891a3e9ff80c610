import { describeProblem } from '#core/errors.ts'
import { dataPlaneProblems } from '#core/resources/check-resource.ts'
import type { AccessList } from '#core/resources/access-list.ts'
import { type Decision, type KindReconciler, recordOfRefused } from './kind-reconciler.ts'
import type { OrganizationFinder, OrganizationLookup } from './organization-finder.ts'
import { notReady, type Readiness, synced } from './readiness.ts'
import { type ResourceReader, usersOfList } from './references.ts'

interface Facts {
  readonly organization: OrganizationLookup
}

/** Without a finalizer: a list whose record is gone or stale only denies, and the sweep removes it. */
export function accessListReconciler(
  reader: ResourceReader,
  finder: OrganizationFinder,
): KindReconciler<'AccessList', Facts> {
  const organizationOf = ({ metadata, spec }: AccessList): OrganizationLookup =>
    finder.find(metadata.namespace, spec.organizationRef)
  return {
    kind: 'AccessList',
    needsFinalizer: false,
    claimOf(list) {
      const { id } = organizationOf(list)
      return id === undefined
        ? undefined
        : { type: 'access-list', organization: id, name: list.metadata.name }
    },
    holdsClaim: () => true,
    gather: async (list) => ({ organization: organizationOf(list) }),
    decide: decideAccessList,
    dependents: (of) => usersOfList(reader, of),
  }
}

function decideAccessList(list: AccessList, { organization }: Facts): Decision<'AccessList'> {
  if (organization.refusal !== undefined) {
    return { record: recordOfRefused(organization.refusal), ready: organization.refusal, status: {} }
  }
  const invalid = rulesRefusal('AccessList', list.spec)
  // What worked before keeps working: a slip of the pen must not cut off everybody whom the list serves.
  if (invalid !== undefined) return { record: 'keep', ready: invalid, status: {} }
  const { rules } = list.spec
  const count = `${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`
  return { record: { rules }, ready: synced(`${count} in force`), status: {} }
}

/** Why the topics of rules can not be used, naming each. */
export function rulesRefusal(kind: 'AccessList' | 'MqttUser', spec: object): Readiness | undefined {
  const problems = dataPlaneProblems(kind, spec)
  return problems.length === 0
    ? undefined
    : notReady('InvalidRules', problems.slice(0, 10).map(describeProblem).join('; '))
}
