import type { FastifyRequest } from 'fastify'
import type { Audit } from '#core/audit/audit.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { auditedFields, noteCredential, timeOf } from '../audit/audited-request.ts'
import type { Caller } from '../callers/caller.ts'
import {
  type Exchange,
  type ExchangeDependencies,
  exchangeIdentity,
  type ExchangeRequest,
} from '../issuing/exchange-identity.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { problemOf } from '../problem-of.ts'

export interface ExchangeWatch {
  readonly metrics: TokenServiceMetrics
  readonly audit: Audit
}

/** An exchange that is counted and written down: every face exchanges through here. */
export async function watchExchange(
  dependencies: ExchangeDependencies & ExchangeWatch,
  request: FastifyRequest,
  caller: Caller,
  asked: ExchangeRequest,
): Promise<Exchange> {
  const { metrics, audit } = dependencies
  const started = performance.now()
  let chosen: ProviderRecord | undefined
  const finish = (outcome: Parameters<TokenServiceMetrics['exchanged']>[1]): void =>
    metrics.exchanged(chosen?.type ?? 'none', outcome, (performance.now() - started) / 1000)
  request.audited.kind = 'exchange'
  try {
    const onProvider = (name: string, record: ProviderRecord): void => {
      chosen = record
      request.audited.provider = name
    }
    const exchange = await exchangeIdentity(dependencies, caller, { ...asked, onProvider })
    finish('issued')
    const { id, issued } = exchange
    noteCredential(request, id, issued)
    request.audited.tokenId = exchange.identity.tokenId
    audit.record({
      event: 'credential.issued',
      ...auditedFields(request),
      expiresAt: timeOf(issued.expiresAt),
    })
    return exchange
  } catch (error) {
    finish(problemOf(error).code)
    throw error
  }
}
