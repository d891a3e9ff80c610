/**
 * Tells people what happened to an object, as events.k8s.io/v1 Events (`kubectl describe` shows them).
 *
 * - Only changes: the same type, reason and note as the last one of the object is not written again.
 * - At most `burst` at once for one object, then one every `refillMs`; further ones are dropped and counted in
 *   the log.
 * - `record` never throws and does not wait. A write that fails is logged and counts as not written.
 */
import { randomUUID } from 'node:crypto'
import type { KubernetesApi } from './kubernetes-api.ts'
import { errorFields, type Log } from './log.ts'
import type { KubernetesObject, ResourceType } from './objects.ts'
import { microTime, type Time } from './time.ts'

export interface EventNote {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, at most 128 characters. */
  readonly reason: string
  /** What was being done, CamelCase, such as `Reconcile`. */
  readonly action: string
  /** For people, never a secret; cut to 1024 characters. */
  readonly note: string
}

/** apiVersion, kind and uid must be there for the Event to be found. */
export type Regarding = Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>

export interface EventRecorderOptions {
  readonly api: Pick<KubernetesApi, 'create'>
  /** `domain/name` of the program. */
  readonly reportingController: string
  /** Such as the Pod's name. */
  readonly reportingInstance: string
  readonly time: Time
  readonly log: Log
  /** Default 10. */
  readonly burst?: number
  /** Default 60 s. */
  readonly refillMs?: number
}

const eventType: ResourceType = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  namespaced: true,
}

interface Recent {
  last: string
  tokens: number
  refilledAt: number
}

const rememberedObjects = 10_000

export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #burst: number
  readonly #refillMs: number
  readonly #recent = new Map<string, Recent>()
  readonly #pending = new Set<Promise<void>>()

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#burst = options.burst ?? 10
    this.#refillMs = options.refillMs ?? 60_000
  }

  record(regarding: Regarding, note: EventNote): void {
    const recent = this.#recentOf(regarding)
    const content = JSON.stringify([note.type, note.reason, note.note])
    if (recent.last === content) return
    if (recent.tokens < 1) {
      const { name, namespace } = regarding.metadata
      return this.#options.log.debug(
        { name, namespace, reason: note.reason },
        'too many events; one was dropped',
      )
    }
    recent.tokens -= 1
    recent.last = content
    const writing = this.#write(regarding, note, recent).finally(() => this.#pending.delete(writing))
    this.#pending.add(writing)
  }

  /** Resolves when everything recorded so far is written or has failed. */
  async flush(): Promise<void> {
    await Promise.all(this.#pending)
  }

  async #write(regarding: Regarding, note: EventNote, recent: Recent): Promise<void> {
    try {
      await this.#options.api.create(eventType, this.#eventOf(regarding, note))
    } catch (error) {
      recent.last = ''
      this.#options.log.warn({ ...errorFields(error), reason: note.reason }, 'could not write an event')
    }
  }

  #eventOf(
    { apiVersion, kind, metadata }: Regarding,
    note: EventNote,
  ): KubernetesObject & Record<string, unknown> {
    const { name, namespace, uid, resourceVersion } = metadata
    const home = namespace ?? 'default'
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name.slice(0, 200)}.${randomUUID()}`, namespace: home },
      eventTime: microTime(this.#options.time.now()),
      reportingController: this.#options.reportingController,
      reportingInstance: this.#options.reportingInstance.slice(0, 128),
      regarding: { apiVersion, kind, name, namespace, uid, resourceVersion },
      type: note.type,
      reason: note.reason.slice(0, 128),
      action: note.action.slice(0, 128),
      note: note.note.slice(0, 1024),
    }
  }

  #recentOf({ metadata }: Regarding): Recent {
    const now = this.#options.time.monotonic()
    const id = metadata.uid ?? `${metadata.namespace}/${metadata.name}`
    const recent = this.#recent.get(id) ?? { last: '', tokens: this.#burst, refilledAt: now }
    const refills = Math.floor((now - recent.refilledAt) / this.#refillMs)
    recent.tokens = Math.min(this.#burst, recent.tokens + refills)
    recent.refilledAt += refills * this.#refillMs
    // Set anew, so that the first key of the map is the one unused for longest.
    this.#recent.delete(id)
    this.#recent.set(id, recent)
    this.#forgetOldest()
    return recent
  }

  #forgetOldest(): void {
    if (this.#recent.size <= rememberedObjects) return
    for (const id of this.#recent.keys()) {
      this.#recent.delete(id)
      return
    }
  }
}
