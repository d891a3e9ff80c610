import { firebaseIssuer } from '#core/identity/implied-settings.ts'
import { claimOf, objectClaim, optionalText, timeClaim, verifiedEmail } from '../verifier/claims.ts'
import { clockTolerance } from '../verifier/claim-rules.ts'
import { bodyOf, saysNothing } from '../live-checks/provider-asker.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import type { ProviderKind } from './provider.ts'

// Google signs the tokens of every Firebase project in the world with these keys: only `iss` and `aud` keep
// one project's users out of another.
const signer = 'securetoken@system.gserviceaccount.com'
const keySources = {
  jwk: { jwksUri: `https://www.googleapis.com/service_accounts/v1/jwk/${signer}` },
  x509: { certificatesUri: `https://www.googleapis.com/robot/v1/metadata/x509/${signer}` },
} as const
const longestUserId = 128
const lookupUrl = 'https://identitytoolkit.googleapis.com/v1/accounts:lookup'
/** What Google says of a user who may not sign in any more; other errors are about the question. */
const endings = ['USER_NOT_FOUND', 'USER_DISABLED', 'TOKEN_EXPIRED']

/** Firebase ID tokens. Session cookies have another issuer, custom tokens another audience. */
export const firebase: ProviderKind<'firebase'> = {
  type: 'firebase',
  async liveCheck(_settings, { token, subject, authenticatedAt = 0 }, { secret = '', ask }) {
    const answer = await ask({
      url: lookupUrl,
      headers: { 'x-goog-api-key': secret },
      body: { idToken: token },
    })
    const { error, users } = bodyOf(answer) as LookedUp
    if (answer.status === 400 && endings.includes(error?.message ?? '')) return 'ended'
    const user = users?.find?.(({ localId }) => localId === subject)
    if (answer.status !== 200 || user === undefined) throw saysNothing(answer)
    // As firebase-admin does it with checkRevoked.
    return user.disabled === true || authenticatedAt < Number(user.validSince ?? 0) ? 'ended' : 'live'
  },
  policy: ({ projectId, tenant, keyFormat = 'jwk' }, { allowAnonymous }) => ({
    issuers: [firebaseIssuer(projectId)],
    audiences: [projectId],
    tenant,
    algorithms: ['RS256'],
    leeway: 0,
    types: ['jwt'],
    keys: () => keySources[keyFormat],
    identify(claims, { now }) {
      if (claimOf(claims, 'aud') !== projectId) {
        throw new TokenRefused('audience_mismatch', 'the claim aud must be the project id alone')
      }
      if (String(claimOf(claims, 'sub')).length > longestUserId) {
        throw new TokenRefused(
          'claim_mismatch',
          `the claim sub must have ${longestUserId} characters at most`,
        )
      }
      const authenticatedAt = timeClaim(claims, 'auth_time')
      if (authenticatedAt - clockTolerance > now) {
        throw new TokenRefused('claim_mismatch', 'the claim auth_time lies in the future')
      }
      const details = objectClaim(claims, 'firebase') ?? {}
      const method = optionalText(details, 'sign_in_provider')
      if (method === undefined) {
        throw new TokenRefused('claim_mismatch', 'the claim firebase.sign_in_provider must be a text')
      }
      if (method === 'anonymous' && !allowAnonymous) {
        throw new TokenRefused(
          'token_type_not_allowed',
          'anonymous users are accepted only where the provider has allowAnonymous',
        )
      }
      if (claimOf(details, 'tenant') !== tenant) {
        throw new TokenRefused('claim_mismatch', 'the claim firebase.tenant must be the provider’s tenant')
      }
      return { email: verifiedEmail(claims), authenticatedAt }
    },
  }),
}

/** What the Identity Toolkit API answers; not checked. */
interface LookedUp {
  readonly error?: { readonly message?: string }
  readonly users?: readonly {
    readonly localId?: string
    readonly disabled?: boolean
    /** Tokens of a sign-in before that are revoked; seconds, as text. */
    readonly validSince?: string
  }[]
}
