import type { RateLimit, RateVerdict } from '#core/stores/rate-limiter.ts'
import { ProblemError } from '../problems.ts'

/** A request that comes too early, and when it would not. */
export function rateLimited(limits: readonly RateLimit[], verdict: RateVerdict): ProblemError {
  const retryAfter = String(Math.max(1, Math.ceil(verdict.waitMs / 1000)))
  const empty = limits.find((_, index) => (verdict.left[index]?.remaining ?? 0) < 1)
  return new ProblemError('rate_limited', {
    why: empty?.name ?? 'unknown',
    headers: { 'retry-after': retryAfter, ...rateHeaders(limits, verdict) },
  })
}

/** draft-ietf-httpapi-ratelimit-headers-10: what the quotas are, and what is left of them. */
export function rateHeaders(
  limits: readonly RateLimit[],
  { left }: RateVerdict,
): Readonly<Record<'ratelimit-policy' | 'ratelimit', string>> {
  const policies = limits.map(({ name, perMinute }) => `"${name}";q=${perMinute};w=60`)
  const remains = limits.map(({ name }, index) => {
    const { remaining = 0, fullInMs = 0 } = left[index] ?? {}
    return `"${name}";r=${Math.max(0, remaining)};t=${Math.ceil(fullInMs / 1000)}`
  })
  return { 'ratelimit-policy': policies.join(', '), ratelimit: remains.join(', ') }
}
