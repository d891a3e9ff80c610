import { usualAlgorithms } from '#core/identity/implied-settings.ts'
import { claimOf, optionalText, verifiedEmail } from '../verifier/claims.ts'
import type { JsonObject } from '../verifier/compact-token.ts'
import { askUserinfo } from '../live-checks/userinfo.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import type { ProviderKind } from './provider.ts'

/** Any issuer with OpenID Connect discovery or a JWKS: ID tokens, and access tokens of RFC 9068. */
export const oidc: ProviderKind<'oidc'> = {
  type: 'oidc',
  liveCheck: async (_settings, person, io) => askUserinfo(await io.userinfoEndpoint(), person, io),
  policy: ({ issuer, audience, jwksUri, algorithms = usualAlgorithms }, { allowMachine }) => ({
    issuers: [issuer],
    audiences: audience,
    algorithms,
    types: ['jwt', 'at+jwt'],
    keys: () => (jwksUri === undefined ? { discoveryOf: issuer } : { jwksUri }),
    identify(claims) {
      if (isMachine(claims) && !allowMachine) {
        throw new TokenRefused(
          'token_type_not_allowed',
          'machine-to-machine tokens are accepted only where the provider has allowMachine',
        )
      }
      return { email: verifiedEmail(claims), sessionId: optionalText(claims, 'sid') }
    },
  }),
}

/**
 * RFC 9068 §2.2 and §5: without a resource owner `sub` is the client itself. Some issuers say it by the grant
 * type instead.
 */
export function isMachine(claims: JsonObject): boolean {
  const subject = claimOf(claims, 'sub')
  return (
    claimOf(claims, 'gty') === 'client-credentials' ||
    subject === claimOf(claims, 'client_id') ||
    subject === claimOf(claims, 'azp')
  )
}
