import { setTimeout as pause } from 'node:timers/promises'
import { startIssuer } from '../../test/fixtures/issuer.ts'
import { inParallel } from '../in-parallel.ts'
import type { StoredBytes } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'
import { signTokens } from './exchange-tokens.ts'
import { auditLogs, RedisMeter } from './redis-meter.ts'
import { type BenchTokenService, startTokenService } from './token-service.ts'

const atOnce = 32
/** Until the buckets of rate limits are full again, and gone. */
const settleMs = 2500

/** What an exchange leaves behind until its credential ends, of a person who has no other. */
export async function measureCredentials(bench: Workbench, people: number): Promise<StoredBytes> {
  const issuer = await startIssuer()
  try {
    const { tokens, ...signed } = await signTokens(issuer, 'ES256', people + 1)
    const service = await startTokenService(bench, { tokens, ...signed })
    const meter = await RedisMeter.at(service.redisUrl)
    await exchange(service, tokens.slice(people))
    await pause(settleMs)
    const credential = await meter.each(people, async () => {
      await exchange(service, tokens.slice(0, people))
      await pause(settleMs)
    })
    const [routine = ''] = auditLogs
    const event = await meter.entry(routine)
    await meter.close()
    await service.stop()
    return { 'temporary credential': credential, 'audit event': event }
  } finally {
    await issuer.close()
  }
}

async function exchange({ port, apiKey }: BenchTokenService, tokens: readonly string[]): Promise<void> {
  await inParallel(atOnce, tokens.length, async (index) => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/token/exchange`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ provider: 'people', token: tokens[index] }),
    })
    if (!response.ok) throw new Error(`an exchange was answered with ${response.status}`)
    await response.arrayBuffer()
  })
}
