import type { Log } from '#core/process/logger.ts'
import { type ResourceKindName, resourceKindNames, resourceKinds } from '#core/resources/index.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import { createReconcilers, type ReconcilerOptions, type Reconcilers } from '../reconcilers/index.ts'
import type { ResourceAddress, ResourceName } from '../reconcilers/reconciler.ts'
import { Controller } from '../runtime/controller.ts'
import type { RuntimeMetrics } from '../runtime/metrics.ts'
import type { ObjectHandler } from '../runtime/mirror.ts'
import { keyOf, type KubernetesObject, parseKey } from '../runtime/objects.ts'
import { hasChanged, isObserved } from '../runtime/predicates.ts'
import type { Reflector } from '../runtime/reflector.ts'
import type { Random, Time } from '../runtime/time.ts'
import type { Priority } from '../runtime/work-queue.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { FullPass } from './full-pass.ts'
import type { KubernetesHost } from './kubernetes-host.ts'
import { RecordSweep, type RecordSweepOptions } from './record-sweep.ts'
import { Upkeep } from './upkeep.ts'

export interface LeadershipOptions extends Pick<
  ReconcilerOptions,
  | 'installation'
  | 'endpoints'
  | 'formerPasswords'
  | 'keyUses'
  | 'purges'
  | 'sealing'
  | 'sweepLimits'
  | 'longestHoldMs'
> {
  readonly cache: ClusterCache
  readonly host: KubernetesHost
  readonly store: IdentityWriter
  readonly metrics: Pick<RuntimeMetrics, 'controller' | 'expose'>
  readonly sweep: Omit<RecordSweepOptions, 'sweepOrphans' | 'log'>
  /** Closes the store to leaders before this one; rejects when one after it has written there. */
  readonly takeOver: () => Promise<void>
  /** Between two looks at what is in the store. */
  readonly upkeepMs: number
  /** Objects of one kind that are reconciled at a time. */
  readonly concurrency: number
  readonly time: Time
  readonly random: Random
  readonly log: Log
}

/** One term of leadership: a controller a kind, which nothing of an earlier term reaches. */
export class Leadership {
  readonly #options: LeadershipOptions
  readonly #reconcilers: Reconcilers
  readonly #controllers: { readonly [K in ResourceKindName]: Controller }
  readonly #pass: FullPass
  readonly #sweep: RecordSweep
  readonly #upkeep: Upkeep

  constructor(options: LeadershipOptions) {
    this.#options = options
    const { store, time, log } = options
    this.#reconcilers = createReconcilers({
      ...options,
      now: () => time.now(),
      wake: ({ kind, namespace, name }, withinMs) =>
        this.#controllers[kind].enqueueAfter(`${namespace}/${name}`, withinMs),
    })
    this.#controllers = {
      Organization: this.#controller('Organization'),
      AccessList: this.#controller('AccessList'),
      IdentityProvider: this.#controller('IdentityProvider'),
      ApiKey: this.#controller('ApiKey'),
      MqttUser: this.#controller('MqttUser'),
    }
    this.#sweep = new RecordSweep({ ...options.sweep, log, sweepOrphans: this.#reconcilers.sweepOrphans })
    this.#upkeep = new Upkeep({
      time,
      random: options.random,
      log,
      intervalMs: options.upkeepMs,
      isDue: () => this.#pass.isComplete(),
      isUrgent: () => this.#sweep.hasConfirmation(),
      round: () => this.#keepUp(),
    })
    this.#pass = new FullPass({
      store,
      time,
      log,
      takeOver: options.takeOver,
      enqueueAll: () => this.#enqueueAll(),
      sweepOrphans: () => this.#sweep.run(),
    })
  }

  /** Begins once the caches hold everything; resolves then, or when the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.cache.waitForSync(signal)
    } catch {
      return
    }
    for (const kind of resourceKindNames) this.#follow(kind, signal)
    this.#followSecrets(signal)
    this.#pass.start()
    this.#upkeep.start()
    for (const kind of resourceKindNames) this.#controllers[kind].start()
  }

  /** The store may have lost what was written last. */
  lookAgain(): void {
    this.#pass.again()
  }

  /** Lets what runs come to its end, for `drainMs` at most. */
  async stop(drainMs: number): Promise<void> {
    this.#pass.stop()
    this.#upkeep.stop()
    await Promise.all(Object.values(this.#controllers).map((controller) => controller.stop(drainMs)))
  }

  #controller(kind: ResourceKindName): Controller {
    const { time, log, metrics, concurrency } = this.#options
    const name = resourceKinds[kind].singular
    const controller = new Controller({
      name,
      time,
      log,
      concurrency,
      metrics: metrics.controller(name, concurrency),
      reconcile: async (key, { failures }) => {
        try {
          const { againAfterMs, mustSweep } = await this.#reconcilers.byKind[kind].reconcile(
            nameOf(parseKey(key)),
          )
          if (mustSweep === true) this.#upkeep.soon()
          this.#pass.succeeded(kind, key)
          return againAfterMs === undefined ? {} : { requeueAfterMs: againAfterMs }
        } catch (error) {
          this.#pass.failed(kind, key, error, failures)
          throw error
        }
      },
    })
    metrics.expose(controller)
    return controller
  }

  /** Reconciles an object when it changes, and those whom the change concerns. The caches outlive this term: they let go of it. */
  #follow(kind: ResourceKindName, signal: AbortSignal): void {
    // Who listens to all kinds sees of each only what all have.
    const reflector = this.#options.cache.of(kind) as unknown as Reflector<KubernetesObject>
    this.#controllers[kind].watch(reflector, { signal })
    const wake = ({ metadata }: KubernetesObject): void =>
      this.#enqueue(this.#reconcilers.byKind[kind].dependents(nameOf(metadata)))
    const handler: ObjectHandler<KubernetesObject> = {
      // At the start everything is reconciled anyway.
      added: (object, initial) => initial || wake(object),
      updated: (object, before) => hasChanged(object, before) && wake(object),
      deleted: wake,
    }
    reflector.addHandler(handler, signal)
  }

  #followSecrets(signal: AbortSignal): void {
    const { cache, host } = this.#options
    const handler: ObjectHandler<KubernetesObject> = {
      added: (secret, initial) => initial || this.#enqueue(host.unawareOf(secret)),
      updated: (secret) => this.#enqueue(host.unawareOf(secret)),
      deleted: (secret) => this.#enqueue(host.concernedBy(secret)),
    }
    cache.secrets.addHandler(handler, signal)
  }

  async #keepUp(): Promise<void> {
    const { store, sweep, log } = this.#options
    // After a flush everything is written anyway.
    if (!(await store.isReady())) return
    const drifted = await this.#reconcilers.findDrift()
    for (const { kind } of drifted) sweep.metrics.drifted(kind)
    this.#enqueue(drifted, 'resync')
    if (drifted.length > 0) {
      log.warn(
        { records: drifted.length, some: drifted.slice(0, 10) },
        'records were changed by somebody else; writing them again',
      )
    }
    await this.#sweep.run()
    await this.#reconcilers.forgetGone()
  }

  #enqueue(objects: readonly ResourceAddress[], priority?: Priority): void {
    for (const { kind, namespace, name } of objects) {
      this.#controllers[kind].enqueue(`${namespace}/${name}`, priority)
    }
  }

  #enqueueAll(): string[] {
    return resourceKindNames.flatMap((kind) =>
      this.#options.cache
        .of(kind)
        .store.list()
        .map((object) => {
          // Somebody waits for those that were made or changed while nobody led.
          this.#controllers[kind].enqueue(keyOf(object), isObserved(object) ? 'resync' : 'live')
          return `${kind} ${keyOf(object)}`
        }),
    )
  }
}

function nameOf({ namespace = '', name }: { namespace?: string; name: string }): ResourceName {
  return { namespace, name }
}
