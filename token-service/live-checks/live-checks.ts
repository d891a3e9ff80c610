import { hash } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import type { ProviderType } from '#core/resources/identity-provider.ts'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import { providerKinds } from '../providers/index.ts'
import type { IssuerKeys } from '../verifier/issuer-keys.ts'
import { ProviderUnavailable, TokenRefused } from '../verifier/token-refused.ts'
import type { ChosenProvider, Identity } from '../verifier/verify-token.ts'
import type { LiveCheck, LiveIo, LiveVerdict } from './live-check.ts'
import { OwnTokens } from './own-tokens.ts'
import { Patience } from './patience.ts'
import type { ProviderAsker } from './provider-asker.ts'

export interface LiveChecksOptions {
  readonly ask: ProviderAsker
  readonly keys: Pick<IssuerKeys, 'userinfoEndpoint'>
  readonly sealing: SealingKeys | undefined
  readonly now: Clock
  /** A provider was asked, and this is what came of it. */
  readonly onAsked?: (type: ProviderType, outcome: LiveVerdict | 'unavailable') => void
}

interface Known {
  readonly verdict: Promise<LiveVerdict>
  until: number
}

/** As long as an answer is believed: whoever was banned gets in no later than this. */
const believedFor = 5_000
const mostKnown = 10_000
const limits = { timeoutMs: 4_000, maxBytes: 256 * 1024 }

/** Live checks as they are asked for: one question at a time for each token, and its answer kept for a moment. */
export class LiveChecks {
  readonly #options: LiveChecksOptions
  readonly #known = new Map<string, Known>()
  readonly #patience: Patience
  readonly #ownTokens: OwnTokens

  constructor(options: LiveChecksOptions) {
    this.#options = options
    this.#patience = new Patience(options.now)
    this.#ownTokens = new OwnTokens(options.now)
  }

  /**
   * Resolves where the provider does not ask for the check, or says that they may still sign in. Rejects with TokenRefused
   * where it says that they may not, with ProviderUnavailable where it says nothing.
   */
  async check(provider: ChosenProvider, token: string, identity: Identity): Promise<void> {
    if (provider.record.liveCheck !== true) return
    const verdict = await this.#verdict(provider, token, identity)
    if (verdict === 'ended') {
      throw new TokenRefused(
        'session_ended',
        'the provider says that the user is signed out, blocked or gone',
      )
    }
    if (verdict === 'unsuited') {
      throw new TokenRefused(
        'token_type_not_allowed',
        'the provider can not be asked about the user by this token: send an access token with the scope openid',
      )
    }
  }

  #verdict(provider: ChosenProvider, token: string, identity: Identity): Promise<LiveVerdict> {
    const { organization, record } = provider
    const id = `${organization}/${record.uid}/${hash('sha256', token, 'base64url')}`
    const known = this.#known.get(id)
    if (known !== undefined && this.#options.now() < known.until) return known.verdict
    const fresh: Known = { verdict: this.#ask(provider, token, identity), until: Infinity }
    this.#remember(id, fresh)
    fresh.verdict.then(
      () => (fresh.until = this.#options.now() + believedFor),
      // Whoever comes next asks again.
      () => (fresh.until = -Infinity),
    )
    return fresh.verdict
  }

  async #ask(provider: ChosenProvider, token: string, identity: Identity): Promise<LiveVerdict> {
    const { ask, keys, sealing, now, onAsked } = this.#options
    const { organization, record } = provider
    const scope = `${organization}/${record.uid}`
    const secret = openProviderSecret(sealing, organization, record, 'live-check')
    const check = providerKinds[record.type].liveCheck as LiveCheck<ProviderType>
    const version = record.secrets?.['live-check'] ?? ''
    const io: LiveIo = {
      secret,
      now: Math.floor(now() / 1000),
      ownToken: (fetch) => this.#ownTokens.get(scope, version, fetch),
      forgetOwnToken: () => this.#ownTokens.forget(scope),
      ask: (question) => ask(question, limits),
      userinfoEndpoint: () => keys.userinfoEndpoint(scope, identity.issuer),
    }
    try {
      const verdict = await this.#patience.spend(scope, () =>
        check(record.settings as never, { ...identity, token }, io),
      )
      onAsked?.(record.type, verdict)
      return verdict
    } catch (error) {
      onAsked?.(record.type, 'unavailable')
      if (error instanceof ProviderUnavailable) throw error
      throw new ProviderUnavailable('the provider did not say whether the user may still sign in', 5, error)
    }
  }

  #remember(id: string, known: Known): void {
    this.#known.delete(id)
    this.#known.set(id, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostKnown) break
      this.#known.delete(oldest)
    }
  }
}
