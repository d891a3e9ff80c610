import { describe, expect, test } from 'vitest'
import { credentialTtl, type TtlInput } from '../../../token-service/issuing/credential-ttl.ts'
import { ProblemError } from '../../../token-service/problems.ts'
import { anOrganization } from '../../fixtures/records.ts'

interface Case {
  readonly requested?: number
  readonly provider?: number
  readonly default?: number
  readonly max?: number
  readonly bind?: boolean
  readonly tokenLife?: number
}

function ttlOf({ requested, provider, bind = false, tokenLife = 3600, ...organization }: Case): unknown {
  const input: TtlInput = {
    requested,
    provider: { bindToTokenExpiry: bind, ...(provider === undefined ? {} : { ttl: provider }) },
    organization: anOrganization({
      credentials: {
        defaultTtl: organization.default ?? 3600,
        maxTtl: organization.max ?? 3600,
        maxLifetime: 3600,
      },
    }),
    tokenLife,
  }
  try {
    return credentialTtl(input)
  } catch (error) {
    return error instanceof ProblemError ? error.options.errors : error
  }
}

const refused = (requested: number, longest: number): unknown => [
  { field: 'ttl', value: requested, remedy: `give 60 to ${longest} seconds` },
]

describe('the life of a credential is', () => {
  test.each<[string, Case, number]>([
    ['the organization’s, where nobody says more', { default: 1800 }, 1800],
    ['the provider’s, where it has one', { provider: 900, default: 1800 }, 900],
    ['the organization’s longest, where the provider’s is longer', { provider: 7200 }, 3600],
    ['what the caller asks for, up to the longest', { requested: 7200, max: 86_400 }, 7200],
    ['what the caller asks for, down to the shortest', { requested: 60 }, 60],
    ['never less than a minute by default', { provider: 30 }, 60],
    ['not longer than the token’s, where the provider binds it', { bind: true, tokenLife: 300 }, 300],
    ['shorter than a minute only then', { bind: true, tokenLife: 12, requested: 600 }, 12],
    ['a second, where the token is as good as over', { bind: true, tokenLife: -3 }, 1],
    ['independent of the token’s otherwise', { tokenLife: 30 }, 3600],
  ])('%s', (_name, given, seconds) => expect(ttlOf(given)).toBe(seconds))

  test.each<[string, Case, unknown]>([
    ['less than a minute', { requested: 59 }, refused(59, 3600)],
    ['nothing', { requested: 0 }, refused(0, 3600)],
    ['a negative time', { requested: -60 }, refused(-60, 3600)],
    ['more than the organization allows', { requested: 3601 }, refused(3601, 3600)],
    ['more than the provider allows', { requested: 901, provider: 900 }, refused(901, 900)],
    ['eternity', { requested: 1e300 }, refused(1e300, 3600)],
  ])('refused, not cut in silence, when the caller asks for %s', (_name, given, errors) =>
    expect(ttlOf(given)).toEqual(errors),
  )
})
