import type { ProviderType } from '#core/resources/identity-provider.ts'
import { clerkWebhooks } from '../providers/clerk-webhooks.ts'
import { supabaseWebhooks } from '../providers/supabase-webhooks.ts'
import type { JsonObject } from '../verifier/compact-token.ts'

/** How a kind of identity provider tells that somebody's access has to end. */
export interface ProviderWebhooks {
  /** Of its headers: `<prefix>-id`, `<prefix>-timestamp` and `<prefix>-signature`. */
  readonly prefix: 'svix' | 'webhook'
  /** A session that ended is remembered for so long: no identity token of it lives longer. */
  readonly longestTokenSeconds: number
  /** What follows from an event that is genuine; undefined where nothing does. */
  consequenceOf(event: JsonObject, nowMs: number): WebhookConsequence | undefined
}

/** Whose access ends: a person's, or what one session of theirs was exchanged for. */
export interface WebhookConsequence {
  /** What happened, in a word of the provider. */
  readonly cause: string
  readonly subject: string
  readonly session?: string
}

export const providerWebhooks: { readonly [Type in ProviderType]?: ProviderWebhooks } = {
  clerk: clerkWebhooks,
  supabase: supabaseWebhooks,
}
