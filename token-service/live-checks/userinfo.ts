import type { LiveIo, LivePerson, LiveVerdict } from './live-check.ts'
import { bodyOf, saysNothing } from './provider-asker.ts'

/** OpenID Connect Core §5.3: by the access token itself, which is why no secret of ours is needed. */
export async function askUserinfo(
  url: string,
  { token, subject }: LivePerson,
  io: LiveIo,
): Promise<LiveVerdict> {
  const answer = await io.ask({ url, headers: { authorization: `Bearer ${token}` } })
  // RFC 6750 §3.1: `invalid_token` is 401, `insufficient_scope` 403.
  if (answer.status === 401) return 'ended'
  if (answer.status === 403) return 'unsuited'
  if (answer.status !== 200) throw saysNothing(answer)
  // §5.3.2: "The sub Claim in the UserInfo Response MUST be verified to exactly match".
  return bodyOf(answer)['sub'] === subject ? 'live' : 'unsuited'
}
