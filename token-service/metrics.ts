import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { CredentialKind } from '#core/credentials/credential-record.ts'
import { type ProviderType, providerTypes } from '#core/resources/identity-provider.ts'
import type { LiveVerdict } from './live-checks/live-check.ts'
import type { ProblemCode } from './problems.ts'
import { type IssuerDocument, issuerDocuments } from './verifier/issuer-keys.ts'
import type { DocumentCounts, DocumentWatch } from './verifier/remote-documents.ts'

/** What the service counts. Labels are closed sets: no organization, provider name or user in them. */
export interface TokenServiceMetrics {
  /** `none` where the exchange ended before its provider was known. */
  exchanged(type: ProviderType | 'none', outcome: 'issued' | ProblemCode, seconds: number): void
  created(kind: CredentialKind, outcome: 'issued' | ProblemCode): void
  renewed(outcome: 'renewed' | ProblemCode): void
  revoked(): void
  limited(limit: string): void
  /** A provider was asked whether a user may still sign in. */
  askedLive(type: ProviderType, outcome: (typeof liveOutcomes)[number]): void
  shed(): void
  /** `route` as it is declared, `none` where there is none. */
  answered(method: string, route: string, status: number, seconds: number): void
  documents(document: IssuerDocument): DocumentWatch
  showDocuments(counts: (document: IssuerDocument) => DocumentCounts): void
}

export const liveOutcomes = ['live', 'ended', 'unsuited', 'unavailable'] as const satisfies readonly (
  | LiveVerdict
  | 'unavailable'
)[]
export const limitNames = ['key', 'organization', 'without-key', 'webhook', 'subject', 'address']
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
  const liveChecks = new Counter({
    registers,
    name: 'cloudsignal_token_service_live_checks_total',
    help: 'Questions to providers whether a user may still sign in, by what they said',
    labelNames: ['provider_type', 'outcome'],
  })
  // Zero, not absent: an alert on an increase sees the first one too.
  for (const limit of limitNames) limitations.inc({ limit }, 0)
  for (const provider_type of providerTypes) {
    for (const outcome of liveOutcomes) liveChecks.inc({ provider_type, outcome }, 0)
  }
  return {
    exchanged(type, outcome, took) {
      exchanges.inc({ provider_type: type, outcome })
      seconds.observe({ provider_type: type }, took)
    },
    created: (kind, outcome) => tokens.inc({ kind, outcome }),
    renewed: (outcome) => renewals.inc({ outcome }),
    revoked: () => revocations.inc(),
    limited: (limit) => limitations.inc({ limit }),
    askedLive: (type, outcome) => liveChecks.inc({ provider_type: type, outcome }),
    shed: () => shed.inc(),
    answered: requestMetrics(registry),
    ...documentMetrics(registry),
  }
}

function requestMetrics(registry: Registry): TokenServiceMetrics['answered'] {
  const registers = [registry]
  const requests = new Counter({
    registers,
    name: 'cloudsignal_token_service_requests_total',
    help: 'Requests that were answered, by route and status',
    labelNames: ['method', 'route', 'status'],
  })
  const seconds = new Histogram({
    registers,
    name: 'cloudsignal_token_service_request_duration_seconds',
    help: 'Time from a request to its answer, by route',
    labelNames: ['route'],
    buckets: durations,
  })
  return (method, route, status, took) => {
    requests.inc({ method, route, status })
    seconds.observe({ route }, took)
  }
}

function documentMetrics(registry: Registry): Pick<TokenServiceMetrics, 'documents' | 'showDocuments'> {
  const registers = [registry]
  const fetches = new Counter({
    registers,
    name: 'cloudsignal_token_service_issuer_fetches_total',
    help: 'Documents of issuers that were asked for',
    labelNames: ['document', 'outcome'],
  })
  const seconds = new Histogram({
    registers,
    name: 'cloudsignal_token_service_issuer_fetch_duration_seconds',
    help: 'Time until a document of an issuer was there, or was known not to be',
    labelNames: ['document'],
    buckets: durations,
  })
  const stale = new Counter({
    registers,
    name: 'cloudsignal_token_service_stale_documents_used_total',
    help: 'Times that an old document of an issuer was used because there was no newer one to be had',
    labelNames: ['document'],
  })
  for (const document of issuerDocuments) {
    for (const outcome of ['success', 'failure']) fetches.inc({ document, outcome }, 0)
    stale.inc({ document }, 0)
    seconds.zero({ document })
  }
  let read: Parameters<TokenServiceMetrics['showDocuments']>[0] | undefined
  const gauge = (name: keyof DocumentCounts, help: string): void => {
    const metric: Gauge<'document'> = new Gauge({
      registers,
      name: `cloudsignal_token_service_issuer_documents_${name}`,
      help,
      labelNames: ['document'],
      collect() {
        for (const document of issuerDocuments) metric.set({ document }, read?.(document)[name] ?? 0)
      },
    })
  }
  gauge('known', 'Documents of issuers that are at hand')
  gauge('failing', 'Documents that their issuer did not give when it was asked last')
  return {
    documents: (document) => ({
      fetched(isSuccess, took) {
        fetches.inc({ document, outcome: isSuccess ? 'success' : 'failure' })
        seconds.observe({ document }, took)
      },
      usedStale: () => stale.inc({ document }),
    }),
    showDocuments: (counts) => (read = counts),
  }
}
