import type { Clock } from '#core/clock.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { FormerPasswordMarks } from '#core/stores/former-password-marks.ts'
import type { Admission } from './admission/admission.ts'

export interface FormerPasswordsOptions {
  readonly marks: FormerPasswordMarks
  readonly metrics: { formerPassword(): void }
  readonly log: Log
  readonly now: Clock
}

const minuteMs = 60_000
const mostRemembered = 50_000

/** Makes visible who still signs in by a password that is about to end: counted each time, told once a minute. */
export class FormerPasswords {
  readonly #options: FormerPasswordsOptions
  /** By user, since the minute began. */
  readonly #told = new Set<string>()
  #nextMinute = 0

  constructor(options: FormerPasswordsOptions) {
    this.#options = options
  }

  /** The client is in. Never rejects, and nobody waits for it. */
  used({ organizationId, source, expiresAt = 0 }: Admission, clientId: string): void {
    const { marks, metrics, log, now } = this.#options
    metrics.formerPassword()
    const at = now()
    if (at >= this.#nextMinute || this.#told.size >= mostRemembered) {
      this.#told.clear()
      this.#nextMinute = at + minuteMs
    }
    const user = `${source.name}@${organizationId}`
    if (this.#told.has(user)) return
    this.#told.add(user)
    const fields = { organization: organizationId, user: source.name, clientId }
    const endsAt = new Date(expiresAt).toISOString()
    log.info({ ...fields, endsAt }, 'a client signed in with a password that was rotated and ends soon')
    marks.mark(organizationId, source.name, at, expiresAt).catch((error: unknown) => {
      log.warn({ ...fields, ...errorFields(error) }, 'the use of a former password could not be noted')
    })
  }
}
