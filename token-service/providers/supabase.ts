import { supabaseIssuer } from '#core/identity/implied-settings.ts'
import { claimOf, optionalText, textClaim } from '../verifier/claims.ts'
import { bodyOf, type ProviderAnswer, saysNothing } from '../live-checks/provider-asker.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import type { ProviderKind } from './provider.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Supabase access tokens. The project's `anon` and `service_role` keys are JWTs too: their issuer is
 * `supabase`, and they have no audience, subject or session.
 */
export const supabase: ProviderKind<'supabase'> = {
  type: 'supabase',
  async liveCheck({ url }, { token, subject }, { secret = '', ask, now }) {
    // Its server looks for the user, the session and a ban.
    const answer = await ask({
      url: `${supabaseIssuer(url)}/user`,
      headers: { apikey: secret, authorization: `Bearer ${token}` },
    })
    if (isRefusalOfUser(answer)) return 'ended'
    const user = bodyOf(answer)
    if (answer.status !== 200 || user['id'] !== subject) throw saysNothing(answer)
    const bannedUntil = Date.parse(String(user['banned_until']))
    return bannedUntil > now * 1000 ? 'ended' : 'live'
  },
  policy({ url, jwtSecretRef }, { allowAnonymous }) {
    const issuer = supabaseIssuer(url)
    return {
      issuers: [issuer],
      audiences: ['authenticated'],
      // Those that supabase-js verifies. GoTrue could sign by EdDSA too.
      algorithms: ['RS256', 'ES256'],
      // While a project moves to asymmetric keys it has tokens of both.
      sharedSecret: jwtSecretRef !== undefined,
      leeway: 0,
      types: ['jwt'],
      keys: () => ({ jwksUri: `${issuer}/.well-known/jwks.json` }),
      identify(claims) {
        if (textClaim(claims, 'role') !== 'authenticated') {
          throw new TokenRefused('token_type_not_allowed', 'the role must be authenticated')
        }
        if (!uuid.test(textClaim(claims, 'sub'))) {
          throw new TokenRefused('claim_mismatch', 'the claim sub must be a UUID')
        }
        // The same issuer and audience, but handed to somebody else's application (Supabase as OAuth server).
        if (claimOf(claims, 'client_id') !== undefined) {
          throw new TokenRefused('token_type_not_allowed', 'the token belongs to an OAuth client')
        }
        const isAnonymous = claimOf(claims, 'is_anonymous')
        if (typeof isAnonymous !== 'boolean') {
          throw new TokenRefused('claim_mismatch', 'the claim is_anonymous must be true or false')
        }
        if (isAnonymous && !allowAnonymous) {
          throw new TokenRefused(
            'token_type_not_allowed',
            'anonymous users are accepted only where the provider has allowAnonymous',
          )
        }
        // GoTrue puts an address here by its own rule of confirmation. What user_metadata says of it is the
        // user's own word.
        return {
          email: optionalText(claims, 'email'),
          sessionId: textClaim(claims, 'session_id'),
        }
      },
    }
  },
}

/** The gateway before it answers 401 too, where our API key is not right, and names no code. */
function isRefusalOfUser(answer: ProviderAnswer): boolean {
  const { code, error_code: errorCode } = bodyOf(answer)
  return [401, 403, 404].includes(answer.status) && (errorCode ?? code) !== undefined
}
