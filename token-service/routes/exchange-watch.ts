import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
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
  readonly log: Log
}

/** An exchange that is counted, and logged where it is refused: every face exchanges through here. */
export async function watchExchange(
  dependencies: ExchangeDependencies & ExchangeWatch,
  caller: Caller,
  request: ExchangeRequest,
): Promise<Exchange> {
  const { metrics, log } = dependencies
  const started = performance.now()
  let chosen: { readonly name: string; readonly record: ProviderRecord } | undefined
  const finish = (outcome: Parameters<TokenServiceMetrics['exchanged']>[1]): void =>
    metrics.exchanged(chosen?.record.type ?? 'none', outcome, (performance.now() - started) / 1000)
  try {
    const onProvider = (name: string, record: ProviderRecord): void => void (chosen = { name, record })
    const exchange = await exchangeIdentity(dependencies, caller, { ...request, onProvider })
    finish('issued')
    return exchange
  } catch (error) {
    const { code } = problemOf(error)
    finish(code)
    const { organization, name: apiKey } = caller
    log.info(
      { organization, apiKey, provider: chosen?.name, outcome: code, ...errorFields(error) },
      'an exchange was refused',
    )
    throw error
  }
}
