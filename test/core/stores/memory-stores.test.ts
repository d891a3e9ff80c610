import { expect, test } from 'vitest'
import { systemClock } from '#core/clock.ts'
import { MemoryAuditTrail } from '#core/stores/memory-audit-trail.ts'
import { MemoryApiKeyUses } from '#core/stores/memory-api-key-uses.ts'
import { MemoryBarriers } from '#core/stores/memory-barriers.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryMarks } from '#core/stores/memory-marks.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import { describeApiKeyUses } from '../../contracts/api-key-uses.ts'
import { describeAuditTrail } from '../../contracts/audit-trail.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'
import { describeMarks } from '../../contracts/marks.ts'
import { describePurgeMarks } from '../../contracts/purge-marks.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { aCredential, anOrganizationId } from '../../fixtures/records.ts'
import { recordingControlLog } from '../../fixtures/recording-control-log.ts'

describeControlLog('the control log in memory', async () => new MemoryControlLog())

describeIdentityStore('the identity store in memory', async () => {
  const { log, writer } = recordingControlLog()
  const barriers = new MemoryBarriers()
  const credentials = new MemoryCredentialStore(writer, systemClock, barriers)
  return { store: new MemoryIdentityStore(writer, barriers), log, barriers: credentials }
})

describeCredentialStore('the credential store in memory', async () => {
  const { log, writer } = recordingControlLog()
  let now = 1_700_000_000_000
  return {
    store: new MemoryCredentialStore(writer, () => now),
    log,
    pass: async (ms) => void (now += ms),
  }
})

test.each(['provider:clerk', 'terms:clerk'] as const)(
  'in memory nothing is issued on the word of a provider that ended what it had issued since it was read: %s',
  async (target) => {
    const credentials = new MemoryCredentialStore(new MemoryControlLog(), () => 100)
    await credentials.raiseBarrier(anOrganizationId, target)
    const issue = (provider: string, readAt: number): Promise<unknown> => {
      const local = `tmp_${provider}_${readAt}`
      const judgedBy = [{ type: 'provider', name: provider, version: undefined, readAt }] as const
      return credentials.create(anOrganizationId, local, aCredential(local, 'x', { provider }), 60, {
        judgedBy,
      })
    }
    await expect(issue('clerk', 100)).rejects.toMatchObject({ code: 'judge-changed' })
    await issue('clerk', 101)
    await issue('firebase', 1)
  },
)

describeApiKeyUses('uses of API keys in memory', async () => new MemoryApiKeyUses())

describePurgeMarks('marks of purges in memory', async () => new MemoryPurgeMarks())

describeMarks('marks in memory', async () => {
  let now = 1_700_000_000_000
  return { marks: new MemoryMarks(() => now), pass: async (seconds) => void (now += seconds * 1_000) }
})

describeAuditTrail('the audit trail in memory', async (bounds) => {
  let now = 1_700_000_000_000
  return {
    trail: new MemoryAuditTrail(bounds, () => now),
    now: () => now,
    pass: async (ms) => void (now += ms),
  }
})

describeRateLimiter('the rate limiter in memory', async () => {
  let now = 1_700_000_000_000
  return { limiter: new MemoryRateLimiter(() => now), pass: async (ms) => void (now += ms) }
})

test('the rate limiter in memory forgets buckets that are full', async () => {
  let now = 0
  const limiter = new MemoryRateLimiter(() => now)
  const take = (of: string, perMinute = 60) => limiter.take(undefined, [{ name: 'address', of, perMinute }])
  for (let index = 0; index < 20_000; index += 1) {
    await take(`once-${index}`)
    now += 1
  }
  await take('kept', 1)
  expect((await take('kept', 1)).waitMs).toBeGreaterThan(0)
  expect(limiter.size).toBeLessThan(15_000)
})
