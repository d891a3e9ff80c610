import { isDeepStrictEqual } from 'node:util'
import type { UserRecord } from '#core/credentials/user-record.ts'
import type { MqttUser } from '#core/resources/mqtt-user.ts'

/** Whether the brokers judge the user by what the resource says. */
export function isInForce(
  { metadata, spec }: Pick<MqttUser, 'metadata' | 'spec'>,
  record: UserRecord | undefined,
): boolean {
  if (record === undefined || record.uid !== metadata.uid) return false
  const { access } = record
  const own = spec.ceilingAccessListRefs
  return (
    record.suspended === (spec.suspended ?? false) &&
    hasPassword(spec, record) &&
    isDeepStrictEqual(access.lists, namesOf(spec.accessListRefs)) &&
    isDeepStrictEqual(access.rules, spec.access ?? []) &&
    isDeepStrictEqual(access.ceilings, own === undefined ? [] : [namesOf(own)]) &&
    isDeepStrictEqual(record.limits, spec.limits ?? {})
  )
}

/** The former one may have ended by now; another one lets nobody in. */
function hasPassword(spec: MqttUser['spec'], { verifiers: [present, ...former] }: UserRecord): boolean {
  return (
    present?.verifier.digest === spec.passwordVerifier?.digest &&
    former.every(({ verifier }) => verifier.digest === spec.formerPasswordVerifier?.digest)
  )
}

export const namesOf = (refs: readonly { readonly name: string }[] | undefined): string[] =>
  (refs ?? []).map(({ name }) => name)
