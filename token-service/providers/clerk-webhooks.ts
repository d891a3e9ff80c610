import { claimOf, objectClaim, optionalText } from '../verifier/claims.ts'
import type { ProviderWebhooks } from '../webhooks/provider-webhooks.ts'

const sessionEnds = ['session.ended', 'session.removed', 'session.revoked']

/** Clerk's webhooks, which Svix signs and sends: `{ "type": "user.deleted", "data": { "id": "user_..." } }`. */
export const clerkWebhooks: ProviderWebhooks = {
  prefix: 'svix',
  // Session tokens live a minute, and ten at most.
  longestTokenSeconds: 3_600,
  consequenceOf(event) {
    const data = objectClaim(event, 'data') ?? {}
    const [cause, id] = [optionalText(event, 'type'), optionalText(data, 'id')]
    if (cause === undefined || id === undefined) return undefined
    if (cause === 'user.deleted') return { cause, subject: id }
    if (cause === 'user.updated') {
      return claimOf(data, 'banned') === true ? { cause: 'user.updated (banned)', subject: id } : undefined
    }
    const subject = optionalText(data, 'user_id')
    if (!sessionEnds.includes(cause) || subject === undefined) return undefined
    return { cause, subject, session: id }
  },
}
