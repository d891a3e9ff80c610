import type { FetchLimits } from '../verifier/document-fetcher.ts'

/** How a provider is asked something of its own API. In the program it is the guarded one; a test passes its own. */
export type ProviderAsker = (question: ProviderQuestion, limits: FetchLimits) => Promise<ProviderAnswer>

export interface ProviderQuestion {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Sent by POST as JSON; without it by GET. */
  readonly body?: object
}

/** Whatever was answered, redirects and errors too. */
export interface ProviderAnswer {
  readonly status: number
  readonly text: string
}

/** The body as JSON object; an empty one where it is none. */
export function bodyOf({ text }: ProviderAnswer): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}

/** An answer that says nothing of the user: a rate limit, a wrong key of ours, a fault of theirs. */
export function saysNothing({ status }: ProviderAnswer): Error {
  return new Error(`the provider answered with status ${status}`)
}
