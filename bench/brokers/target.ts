/** A broker, or two replicas of one, that a generator can be let loose on. */
export interface Target {
  /** Port of the loopback for clients that publish, and for everything that is not about publishing. */
  readonly publish: number
  /** Port for clients that subscribe: another replica's in cross-*. */
  readonly subscribe: number
  /** The user of client number %d, one of `users`. */
  readonly login?: { readonly user: string; readonly password: string; readonly users: number }
  readonly tls?: boolean
  /** What works for it, by role. */
  readonly processes: Readonly<Record<string, number>>
  /** Of ours: the Redis it runs on. */
  readonly redisUrl?: string
  /** Where the generator runs beside it. */
  readonly generator: readonly number[]
  stop(): Promise<void>
}
