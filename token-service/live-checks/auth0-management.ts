import type { LiveIo, LivePerson, LiveVerdict } from './live-check.ts'
import { bodyOf, saysNothing } from './provider-asker.ts'

/** A machine-to-machine application that may read users; as it stands in the Secret. */
interface ManagementClient {
  /** Of the tenant itself: a custom domain does not serve this API. */
  readonly domain: string
  readonly client_id: string
  readonly client_secret: string
}

/** Auth0's Management API knows who is blocked, which `/userinfo` does not tell. */
export async function askManagement(
  secret: string,
  { subject }: LivePerson,
  io: LiveIo,
): Promise<LiveVerdict> {
  const client = JSON.parse(secret) as ManagementClient
  const api = `https://${client.domain}/api/v2/`
  const token = await io.ownToken(() => fetchToken(client, api, io))
  const answer = await io.ask({
    url: `${api}users/${encodeURIComponent(subject)}?fields=user_id,blocked&include_fields=true`,
    headers: { authorization: `Bearer ${token}` },
  })
  if (answer.status === 404) return 'ended'
  if (answer.status === 401) io.forgetOwnToken()
  const user = bodyOf(answer)
  if (answer.status !== 200 || user['user_id'] !== subject) throw saysNothing(answer)
  return user['blocked'] === true ? 'ended' : 'live'
}

async function fetchToken(
  { domain, client_id, client_secret }: ManagementClient,
  audience: string,
  io: LiveIo,
): Promise<{ readonly token: string; readonly seconds: number }> {
  const answer = await io.ask({
    url: `https://${domain}/oauth/token`,
    headers: {},
    body: { grant_type: 'client_credentials', client_id, client_secret, audience },
  })
  const { access_token: token, expires_in: seconds } = bodyOf(answer)
  if (answer.status !== 200 || typeof token !== 'string' || typeof seconds !== 'number') {
    throw saysNothing(answer)
  }
  return { token, seconds }
}
