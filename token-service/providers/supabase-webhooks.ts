import { objectClaim, optionalText } from '../verifier/claims.ts'
import type { JsonObject } from '../verifier/compact-token.ts'
import type { ProviderWebhooks } from '../webhooks/provider-webhooks.ts'

/**
 * Changes of Supabase's tables `auth.users` and `auth.sessions`, in the form of its database webhooks; these sign nothing,
 * so a trigger sends them that signs as Supabase's auth hooks do: docs/providers/supabase.md.
 */
export const supabaseWebhooks: ProviderWebhooks = {
  prefix: 'webhook',
  // As long as a project can set it: a week.
  longestTokenSeconds: 7 * 86_400,
  consequenceOf(event, nowMs) {
    if (optionalText(event, 'schema') !== 'auth') return undefined
    const [table, type] = [optionalText(event, 'table'), optionalText(event, 'type')]
    const [before, after] = [objectClaim(event, 'old_record') ?? {}, objectClaim(event, 'record') ?? {}]
    if (table === 'users') {
      const subject = optionalText(type === 'DELETE' ? before : after, 'id')
      const why = type === 'DELETE' ? 'deleted' : type === 'UPDATE' ? endOf(after, nowMs) : undefined
      return subject === undefined || why === undefined ? undefined : { cause: `user ${why}`, subject }
    }
    if (table !== 'sessions' || type !== 'DELETE') return undefined
    const [session, subject] = [optionalText(before, 'id'), optionalText(before, 'user_id')]
    if (session === undefined || subject === undefined) return undefined
    return { cause: 'session deleted', subject, session }
  },
}

function endOf(user: JsonObject, nowMs: number): 'banned' | 'deleted' | undefined {
  if (optionalText(user, 'deleted_at') !== undefined) return 'deleted'
  const until = Date.parse(optionalText(user, 'banned_until') ?? '')
  return until > nowMs ? 'banned' : undefined
}
