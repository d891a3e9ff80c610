import { Counter, Histogram, type Registry } from 'prom-client'
import type { CredentialKind } from '#core/credentials/credential-record.ts'
import type { ProviderType } from '#core/resources/identity-provider.ts'
import type { ProblemCode } from './problems.ts'

/** What the service counts. Labels are closed sets: no organization, provider name or user in them. */
export interface TokenServiceMetrics {
  /** `none` where the exchange ended before its provider was known. */
  exchanged(type: ProviderType | 'none', outcome: 'issued' | ProblemCode, seconds: number): void
  created(kind: CredentialKind, outcome: 'issued' | ProblemCode): void
  renewed(outcome: 'renewed' | ProblemCode): void
  revoked(): void
  limited(limit: string): void
  shed(): void
  fetched(document: 'jwks' | 'discovery', isSuccess: boolean): void
}

const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createTokenServiceMetrics(registry: Registry): TokenServiceMetrics {
  const registers = [registry]
  const exchanges = new Counter({
    registers,
    name: 'cloudsignal_token_service_exchanges_total',
    help: 'Exchanges of identity tokens, by how they ended',
    labelNames: ['provider_type', 'outcome'],
  })
  const seconds = new Histogram({
    registers,
    name: 'cloudsignal_token_service_exchange_duration_seconds',
    help: 'How long exchanges took, from the body read to the answer known',
    labelNames: ['provider_type'],
    buckets: durations,
  })
  const tokens = new Counter({
    registers,
    name: 'cloudsignal_token_service_tokens_total',
    help: 'Credentials asked for by API key, by kind and how it ended',
    labelNames: ['kind', 'outcome'],
  })
  const renewals = new Counter({
    registers,
    name: 'cloudsignal_token_service_renewals_total',
    help: 'Renewals of credentials, by how they ended',
    labelNames: ['outcome'],
  })
  const revocations = new Counter({
    registers,
    name: 'cloudsignal_token_service_revocations_total',
    help: 'Credentials that were revoked by their id',
  })
  const limitations = new Counter({
    registers,
    name: 'cloudsignal_token_service_limited_total',
    help: 'Requests that were refused because there were too many, by what is limited',
    labelNames: ['limit'],
  })
  const shed = new Counter({
    registers,
    name: 'cloudsignal_token_service_shed_total',
    help: 'Requests that were refused because there was more to do than could be done',
  })
  const fetches = new Counter({
    registers,
    name: 'cloudsignal_token_service_issuer_fetches_total',
    help: 'Documents of issuers that were asked for',
    labelNames: ['document', 'outcome'],
  })
  return {
    exchanged(type, outcome, took) {
      exchanges.inc({ provider_type: type, outcome })
      seconds.observe({ provider_type: type }, took)
    },
    created: (kind, outcome) => tokens.inc({ kind, outcome }),
    renewed: (outcome) => renewals.inc({ outcome }),
    revoked: () => revocations.inc(),
    limited: (limit) => limitations.inc({ limit }),
    shed: () => shed.inc(),
    fetched: (document, isSuccess) => fetches.inc({ document, outcome: isSuccess ? 'success' : 'failure' }),
  }
}
