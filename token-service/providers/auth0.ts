import { claimOf, optionalText, verifiedEmail } from '../verifier/claims.ts'
import type { JsonObject } from '../verifier/compact-token.ts'
import { askManagement } from '../live-checks/auth0-management.ts'
import { askUserinfo } from '../live-checks/userinfo.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import { isMachine } from './oidc.ts'
import type { ProviderKind } from './provider.ts'

/** Claims that only ID tokens have (OpenID Connect Core §2 and §3.1.3.6). */
const idTokenClaims = ['nonce', 'at_hash', 'c_hash'] as const

/** Auth0 access tokens of an API, of both profiles: Auth0's own (`JWT`) and RFC 9068 (`at+jwt`). */
export const auth0: ProviderKind<'auth0'> = {
  type: 'auth0',
  liveCheck: (_settings, person, io) =>
    io.secret === undefined
      ? askUserinfo(`${person.issuer.replace(/\/+$/, '')}/userinfo`, person, io)
      : askManagement(io.secret, person, io),
  policy: ({ issuers, audience }, { allowMachine }) => ({
    issuers,
    audiences: audience,
    algorithms: ['RS256', 'PS256'],
    types: ['jwt', 'at+jwt'],
    keys: (issuer) => ({ jwksUri: `${issuer.replace(/\/+$/, '')}/.well-known/jwks.json` }),
    identify(claims) {
      const idTokenClaim = idTokenClaims.find((name) => claimOf(claims, name) !== undefined)
      if (idTokenClaim !== undefined) {
        throw new TokenRefused(
          'token_type_not_allowed',
          `this is an ID token (it has ${idTokenClaim}); send the access token of the API`,
        )
      }
      if (isAuth0Machine(claims) && !allowMachine) {
        throw new TokenRefused(
          'token_type_not_allowed',
          'machine-to-machine tokens are accepted only where the provider has allowMachine',
        )
      }
      return { email: verifiedEmail(claims), sessionId: optionalText(claims, 'sid') }
    },
  }),
}

function isAuth0Machine(claims: JsonObject): boolean {
  return isMachine(claims) || String(claimOf(claims, 'sub')).endsWith('@clients')
}
