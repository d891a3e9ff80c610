import type { Access } from '#core/access/access.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { Message } from '../aedes/messages.ts'
import type { ClientRegistry, DueWill } from './client-registry.ts'
import type { WillAuthor } from './stored-will.ts'

export interface WillPublisherOptions {
  readonly registry: ClientRegistry
  /** What its author may do by the records of now; undefined when it may not connect any more. */
  readonly accessOf: (organization: OrganizationId, author: WillAuthor) => Promise<Access | undefined>
  readonly publish: (organization: OrganizationId, message: Message) => Promise<void>
  readonly metrics: { will(outcome: WillOutcome): void }
  readonly log: Log
}

export type WillOutcome = 'published' | 'denied' | 'failed' | 'damaged'

const lookMs = 1_000
const mostAttempts = 5

/** Publishes wills that are due: those it is given, and those that it finds once a second. */
export class WillPublisher {
  readonly #options: WillPublisherOptions
  readonly #timer: NodeJS.Timeout
  #looking: Promise<void> | undefined

  constructor(options: WillPublisherOptions) {
    this.#options = options
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    }, lookMs)
    this.#timer.unref()
  }

  /**
   * Publishes or drops it: judged by `access`, or by the records of now. Never rejects; what the store does not
   * take is tried again, a few times.
   */
  async publish(will: DueWill, access?: Access): Promise<void> {
    const { registry, metrics, log } = this.#options
    try {
      const outcome = await this.#attempt(will, access)
      await registry.settle(will)
      metrics.will(outcome)
      if (outcome !== 'published') this.#report(will, outcome)
    } catch (error) {
      log.warn({ client: will.id, ...errorFields(error) }, 'a will could not be published now')
      registry.postpone(will)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    try {
      for (const will of await this.#options.registry.takeDue()) await this.publish(will)
    } catch (error) {
      this.#options.log.debug(errorFields(error), 'wills that are due could not be read')
    }
  }

  async #attempt({ organization, attempts, will }: DueWill, access?: Access): Promise<WillOutcome> {
    if (will === undefined) return 'damaged'
    if (attempts > mostAttempts) return 'failed'
    const { message, author } = will
    const current = access ?? (await this.#options.accessOf(organization, author))
    // [MQTT-3.1.2-8]
    if (current?.publish(message.topic, message.qos, message.retain).allowed !== true) return 'denied'
    await this.#options.publish(organization, message)
    return 'published'
  }

  #report({ organization, id }: DueWill, outcome: WillOutcome): void {
    this.#options.log.info({ organization, client: id, outcome }, 'a will was dropped')
  }
}
