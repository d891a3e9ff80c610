import { claimOf, optionalText, textClaim, verifiedEmail } from '../verifier/claims.ts'
import { bodyOf, saysNothing } from '../live-checks/provider-asker.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import { withOrganization } from './clerk-organization.ts'
import type { ProviderKind } from './provider.ts'

/** How Clerk marks its session tokens in the header; machine tokens have another mark. */
const sessionCategory = 'cl_B7d4PD111AAA'

const sessionsUrl = 'https://api.clerk.com/v1/sessions'

/** Clerk session tokens, of both versions. They have no audience: the issuer is the instance, azp the origin. */
export const clerk: ProviderKind<'clerk'> = {
  type: 'clerk',
  async liveCheck(_settings, { subject, sessionId = '' }, { secret = '', ask }) {
    const answer = await ask({
      url: `${sessionsUrl}/${encodeURIComponent(sessionId)}`,
      headers: { authorization: `Bearer ${secret}` },
    })
    if (answer.status === 404) return 'ended'
    const session = bodyOf(answer)
    if (answer.status !== 200 || session['id'] !== sessionId) throw saysNothing(answer)
    return session['status'] === 'active' && session['user_id'] === subject ? 'live' : 'ended'
  },
  policy: ({ issuer, authorizedParties, publicKey }) => ({
    issuers: [issuer],
    algorithms: ['RS256'],
    types: ['jwt'],
    keys: () =>
      publicKey === undefined
        ? { jwksUri: `${issuer.replace(/\/+$/, '')}/.well-known/jwks.json` }
        : { publicKey },
    spell: withOrganization,
    identify(claims, { header }) {
      // As Clerk writes it and its own verifier wants it; elsewhere the case of a media type does not matter.
      if (header.all['typ'] !== undefined && header.all['typ'] !== 'JWT') {
        throw new TokenRefused('token_type_not_allowed', 'the typ of the token is not JWT')
      }
      const category = claimOf(header.all, 'cat')
      if (category !== undefined && category !== sessionCategory) {
        throw new TokenRefused('token_type_not_allowed', 'this is no session token')
      }
      if (!textClaim(claims, 'sub').startsWith('user_')) {
        throw new TokenRefused('token_type_not_allowed', 'the token belongs to no user')
      }
      // A token made from a JWT template has no session: its claims and its life are anybody's guess.
      const sessionId = optionalText(claims, 'sid')
      if (sessionId?.startsWith('sess_') !== true) {
        throw new TokenRefused('token_type_not_allowed', 'the token belongs to no session')
      }
      if (claimOf(claims, 'sts') === 'pending') {
        throw new TokenRefused('token_type_not_allowed', 'the user has not finished signing in')
      }
      const party = claimOf(claims, 'azp')
      if (authorizedParties !== undefined && !authorizedParties.some((each) => each === party)) {
        throw new TokenRefused('claim_mismatch', 'the claim azp is none of the authorized parties')
      }
      return { email: verifiedEmail(claims), sessionId }
    },
  }),
}
