import { firebaseIssuer, supabaseIssuer, usualAlgorithms } from '#core/identity/implied-settings.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { ProviderSettings, ProviderType } from '#core/resources/identity-provider.ts'
import type { DecidedEnd } from './kind-reconciler.ts'

/** Everything of the settings of a provider that says whose tokens are accepted. */
interface Trust {
  /** Of a token one. */
  readonly issuers: readonly string[]
  /** Of a token one; any where undefined. */
  readonly audience?: readonly string[] | undefined
  readonly parties?: readonly string[] | undefined
  readonly algorithms?: readonly string[] | undefined
  /** Each other value is somebody else. */
  readonly tenant?: string | undefined
  /** Where its keys are found, or the one it has. */
  readonly keys?: string | undefined
  readonly takesSharedSecret?: boolean
}

const trustOf: { readonly [T in ProviderType]: (settings: ProviderSettings[T]) => Trust } = {
  supabase: ({ url, jwtSecretRef }) => ({
    issuers: [supabaseIssuer(url)],
    takesSharedSecret: jwtSecretRef !== undefined,
  }),
  firebase: ({ projectId, tenant }) => ({
    issuers: [firebaseIssuer(projectId)],
    tenant,
  }),
  auth0: ({ issuers, audience }) => ({ issuers, audience }),
  clerk: ({ issuer, authorizedParties, publicKey }) => ({
    issuers: [issuer],
    parties: authorizedParties,
    keys: publicKey,
  }),
  oidc: ({ issuer, audience, jwksUri, algorithms = usualAlgorithms }) => ({
    issuers: [issuer],
    audience,
    algorithms,
    keys: jwksUri,
  }),
}

/** What stands in the tokens' `iss`: exactly one of these. */
export function issuersOf({ type, settings }: Pick<ProviderRecord, 'type' | 'settings'>): readonly string[] {
  return trust({ type, settings }).issuers
}

/**
 * How what was exchanged under the one record ends when the other takes its place: for good where the provider is another
 * one or refuses everybody; where it may refuse somebody whom it has accepted, everybody is judged anew. Undefined where
 * everybody would be accepted again. That an issuer rotates its keys, or somebody a Secret, is no change of the record. Pure.
 */
export function endBetween(before: ProviderRecord, after: ProviderRecord): DecidedEnd | undefined {
  if (before.uid !== after.uid) return { end: 'for-good', why: 'the IdentityProvider was made anew' }
  if (after.closed === 'suspended') {
    return before.closed === 'suspended' ? undefined : { end: 'for-good', why: 'it is suspended' }
  }
  const why = before.type === after.type ? whyNarrower(before, after) : 'its type changed'
  return why === undefined ? undefined : { end: 'judged-anew', why }
}

function whyNarrower(before: ProviderRecord, after: ProviderRecord): string | undefined {
  const [was, is] = [trust(before), trust(after)]
  const reasons: readonly (readonly [why: string, holds: boolean])[] = [
    ['an issuer is no longer accepted', narrows(was.issuers, is.issuers)],
    ['its tenant changed', was.tenant !== is.tenant],
    ['an audience is no longer accepted', narrows(was.audience, is.audience)],
    ['an authorized party is no longer accepted', narrows(was.parties, is.parties)],
    ['an algorithm is no longer accepted', narrows(was.algorithms, is.algorithms)],
    ['it has other keys', was.keys !== is.keys],
    [
      'tokens signed with a shared secret are no longer accepted',
      was.takesSharedSecret === true && is.takesSharedSecret !== true,
    ],
    ['a claim must have a value that it need not have had', bindsMore(before, after)],
    ['anonymous users are no longer accepted', before.allowAnonymous && !after.allowAnonymous],
    ['machines are no longer accepted', before.allowMachine && !after.allowMachine],
    [
      'whoever acts as somebody else is no longer accepted',
      before.allowImpersonation !== false && after.allowImpersonation === false,
    ],
  ]
  return reasons.find(([, holds]) => holds)?.[0]
}

function trust({ type, settings }: Pick<ProviderRecord, 'type' | 'settings'>): Trust {
  // The schema has seen to it that the settings are those of the type.
  return (trustOf[type] as (settings: ProviderRecord['settings']) => Trust)(settings)
}

function narrows(before: readonly string[] | undefined, after: readonly string[] | undefined): boolean {
  if (after === undefined) return false
  return before === undefined || before.some((each) => !after.includes(each))
}

/** Each claim that is asked for now has to have been asked for, with no value that would not do now. */
function bindsMore(before: ProviderRecord, after: ProviderRecord): boolean {
  return after.boundClaims.some(
    ({ claim, values }) =>
      !before.boundClaims.some((former) => former.claim === claim && !narrows(former.values, values)),
  )
}
