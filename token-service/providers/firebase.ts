import { claimOf, objectClaim, optionalText, timeClaim, verifiedEmail } from '../verifier/claims.ts'
import { clockTolerance } from '../verifier/claim-rules.ts'
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

/** Firebase ID tokens. Session cookies have another issuer, custom tokens another audience. */
export const firebase: ProviderKind<'firebase'> = {
  type: 'firebase',
  policy: ({ projectId, tenant, keyFormat = 'jwk' }, { allowAnonymous }) => ({
    issuers: [`https://securetoken.google.com/${projectId}`],
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
      if (timeClaim(claims, 'auth_time') - clockTolerance > now) {
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
      return { email: verifiedEmail(claims) }
    },
  }),
}
