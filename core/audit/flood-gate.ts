import type { Clock } from '#core/clock.ts'
import { addressGroup } from '#core/network/address-group.ts'
import type { AuditEvent } from './audit-event.ts'

export interface FloodGateOptions {
  readonly now: Clock
  readonly write: (event: AuditEvent) => void
}

const minuteMs = 60_000
/** Of one event, for one reason, from one address, of one organization. */
const linesPerSource = 10
/** So that one organization neither fills the log nor hides the others. */
const linesPerOrganization = 200
const mostSources = 10_000

/** The same event for the same reason in the same organization: counted together where it is left out. */
interface Omission {
  readonly event: AuditEvent
  count: number
  isOneAddress: boolean
}

/**
 * Whoever floods refusals gets a few lines a minute, and at its end one line for all that were left out, with their
 * number.
 */
export class FloodGate {
  readonly #options: FloodGateOptions
  readonly #bySource = new Map<string, number>()
  readonly #byOrganization = new Map<string, number>()
  readonly #omitted = new Map<string, Omission>()
  #nextMinute = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: FloodGateOptions) {
    this.#options = options
  }

  /** Whether it is written down now. */
  admits(event: AuditEvent): boolean {
    const now = this.#options.now()
    if (now >= this.#nextMinute || this.#nextMinute > now + minuteMs) this.#begin(now)
    const { organization = '' } = event
    const address = ('address' in event ? event.address : undefined) ?? ''
    const cause = `${event.event}\0${reasonOf(event)}\0${organization}`
    const source = `${cause}\0${addressGroup(address)}`
    const lines = (this.#bySource.get(source) ?? 0) + 1
    const ofOrganization = (this.#byOrganization.get(organization) ?? 0) + 1
    const isKnown = lines > 1 || this.#bySource.size < mostSources
    if (lines > linesPerSource || ofOrganization > linesPerOrganization || !isKnown) {
      this.#omit(cause, event)
      return false
    }
    this.#bySource.set(source, lines)
    this.#byOrganization.set(organization, ofOrganization)
    return true
  }

  /** Begins to count anew, and says what was left out. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#bySource.clear()
    this.#byOrganization.clear()
    const omitted = [...this.#omitted.values()]
    this.#omitted.clear()
    for (const each of omitted) this.#options.write(summaryOf(each))
  }

  #begin(now: number): void {
    this.flush()
    this.#nextMinute = now + minuteMs
  }

  #omit(cause: string, event: AuditEvent): void {
    const found = this.#omitted.get(cause)
    if (found === undefined) this.#omitted.set(cause, { event, count: 1, isOneAddress: true })
    else {
      found.count += 1
      found.isOneAddress &&= addressOf(found.event) === addressOf(event)
    }
    this.#timer ??= setTimeout(() => this.flush(), minuteMs).unref()
  }
}

function summaryOf({ event, count, isOneAddress }: Omission): AuditEvent {
  const { organization } = event
  return {
    event: event.event,
    ...(organization === undefined ? {} : { organization }),
    ...(isOneAddress ? { address: addressOf(event) } : {}),
    reason: reasonOf(event),
    omitted: count,
  } as AuditEvent
}

const reasonOf = (event: AuditEvent): string => ('reason' in event ? event.reason : '')
const addressOf = (event: AuditEvent): string | undefined => ('address' in event ? event.address : undefined)
