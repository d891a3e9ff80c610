import type { ProviderSettings, ProviderType } from '#core/resources/identity-provider.ts'
import type { FetchedToken } from './own-tokens.ts'
import type { ProviderAnswer, ProviderQuestion } from './provider-asker.ts'

/**
 * Asks a provider whether somebody may still sign in, by `spec.liveCheck`: their token has been verified, but may be older
 * than their sign-out, their ban or their end. Rejects when the answer says nothing of that: nobody is refused for it.
 *
 * - `live`
 * - `ended`     signed out, blocked or gone
 * - `unsuited`  the provider can not be asked by this token
 */
export type LiveCheck<Type extends ProviderType> = (
  settings: ProviderSettings[Type],
  person: LivePerson,
  io: LiveIo,
) => Promise<LiveVerdict>

export type LiveVerdict = 'live' | 'ended' | 'unsuited'

/** As the verified token says. */
export interface LivePerson {
  readonly token: string
  readonly issuer: string
  readonly subject: string
  readonly sessionId?: string | undefined
  /** When they signed in, in seconds since the epoch. */
  readonly authenticatedAt?: number | undefined
}

export interface LiveIo {
  /** What stands in `liveCheck.secretRef`. */
  readonly secret: string | undefined
  /** Seconds since the epoch. */
  readonly now: number
  /** A token of our own for the provider's API; fetched where there is none, and kept until it is about to end. */
  ownToken(fetch: () => Promise<FetchedToken>): Promise<string>
  /** It is not taken any more. */
  forgetOwnToken(): void
  ask(question: ProviderQuestion): Promise<ProviderAnswer>
  /** Where the issuer's discovery document says that users are asked about. */
  userinfoEndpoint(): Promise<string>
}
