import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * Counts what is done by whom, and says when it is too much. Every limit is a bucket of `perMinute` that fills evenly:
 * all of it may be used at once, then one more each `60 / perMinute` seconds. Rejections as in IdentityReader.
 */
export interface RateLimiter {
  /**
   * Takes one (or `count`) from each bucket, or from none of them where one is empty. Buckets of one call belong to one organization;
   * without an organization there is a single one.
   */
  take(organization: OrganizationId | undefined, limits: readonly RateLimit[]): Promise<RateVerdict>
}

export interface RateLimit {
  /** What is limited, such as `key`; together with `of` the name of the bucket. */
  readonly name: string
  readonly of: string
  readonly perMinute: number
  readonly count?: number
}

/** Its bucket, within the organization. */
export const bucketOf = ({ name, of }: RateLimit): string => `${name}:${of}`

export interface RateVerdict {
  /** Milliseconds until it would have been allowed; 0 when it is. */
  readonly waitMs: number
  /** Of each limit, in the order of the call: what is left, and when the bucket is full again. */
  readonly left: readonly { readonly remaining: number; readonly fullInMs: number }[]
}

/** Over a limit: nothing was done. */
export class RateExceeded extends Error {
  readonly limit: RateLimit
  readonly waitMs: number

  constructor(limit: RateLimit, waitMs: number) {
    super(`more than ${limit.perMinute} a minute`)
    this.name = 'RateExceeded'
    this.limit = limit
    this.waitMs = waitMs
  }
}

export const minuteMs = 60_000
