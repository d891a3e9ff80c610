import type { ClientRefusal } from '#core/audit/audit-event.ts'
import { formatUsername, isTemporary, parseUsername } from '#core/credentials/username.ts'
import type { Attempt } from '../handlers/connect-attempt.ts'
import type { ConnectRefusal } from '../handlers/connect-refusal.ts'
import { clientFields, peerFields } from './audited-client.ts'

/** The client has its CONNACK. */
export function reportLogin({ connection, admission, clientId }: Attempt): void {
  if (admission === undefined) return
  connection.isLetIn = true
  const { expiresAt } = admission
  connection.options.audit.record({
    event: 'client.connected',
    ...clientFields(connection, { admission, clientId }),
    expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
  })
}

export function reportRefusal(attempt: Attempt, refusal: ConnectRefusal): void {
  const { connection, clientId, admission, cause } = attempt
  const { metrics, audit } = connection.options
  metrics.refused(refusal)
  audit.record({
    event: 'client.refused',
    ...(admission === undefined
      ? { ...claimed(attempt, refusal), clientId, ...peerFields(connection) }
      : clientFields(connection, { admission, clientId })),
    reason: refusal,
    detail: cause instanceof Error ? cause.message : undefined,
  })
}

/** Where these are found out, the organization was found. */
const inOrganization: ReadonlySet<ClientRefusal> = new Set<ClientRefusal>([
  'unknown-user',
  'unknown-credential',
  'wrong-password',
  'wrong-certificate',
  'credential-expired',
  'organization-suspended',
  'user-suspended',
  'wrong-client-id',
  'busy',
])

/** Whom the client says to be. What is no username is not shown: it may be a password in the wrong field. */
function claimed({ username: given, connection }: Attempt, refusal: ConnectRefusal) {
  const name = parseUsername(given)
  if (name === undefined) return {}
  const username = formatUsername(name)
  const isThere = inOrganization.has(refusal) || connection.options.throttle.knowsOrganizationOf(username)
  return {
    organization: isThere ? name.organization : undefined,
    username,
    credential: isTemporary(name.local) ? name.local : undefined,
  }
}
