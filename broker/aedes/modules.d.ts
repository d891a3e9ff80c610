/** What this broker uses of packages that bring no types. Each assumption has a test in test/broker/aedes. */

declare module 'mqemitter-redis' {
  import type { EventEmitter } from 'node:events'

  export type Listener<M> = (message: M, done: () => void) => void

  /** Keeps what it inherits from mqemitter under names with an underscore: the delivery inside this process. */
  class MQEmitterRedis<M extends { readonly topic: string }> {
    constructor(options: {
      subConn: EventEmitter
      pubConn: EventEmitter
      maxLRUCache?: number
      matchEmptyLevels?: boolean
      separator?: string
      wildcardOne?: string
      wildcardSome?: string
    })
    readonly state: EventEmitter
    on(topic: string, listener: Listener<M>, done?: () => void): this
    removeListener(topic: string, listener: Listener<M>, done?: () => void): this
    emit(message: M, done?: (error?: Error) => void): this
    close(done: () => void): this
    protected readonly closed: boolean
    /** A qlobber of topic filters. */
    protected readonly _matcher: {
      match(topic: string): Listener<M>[]
      remove(filter: string, listener: Listener<M>): void
    }
    protected _on(topic: string, listener: Listener<M>, done?: () => void): this
    protected _close(done: () => void): this
  }
  export default MQEmitterRedis
}

declare module 'aedes-persistence/asyncPersistence.js' {
  type Overridden = import('../persistence/session-persistence.ts').PackagePersistence
  const AsyncMemoryPersistence: new () => Overridden
  export default AsyncMemoryPersistence
}

declare module 'aedes-persistence-redis/asyncPersistence.js' {
  type Overridden = import('../persistence/session-persistence.ts').PackagePersistence
  const AsyncRedisPersistence: new (options: { conn: object }) => Overridden
  export default AsyncRedisPersistence
}
