import { auditPanel, processRow, redisRow } from './common-rows.ts'
import { type Dashboard, durations, perSecond, rate, selected } from './dashboard.ts'

const service = 'cloudsignal_token_service'

export const tokenService: Dashboard = {
  name: 'token-service',
  title: 'CloudSignal / Token service',
  program: 'token-service',
  rows: {
    Now: [
      {
        title: 'Exchanges',
        unit: 'reqps',
        isNumber: true,
        queries: [[`sum(${rate(`${service}_exchanges_total`)})`, '']],
      },
      {
        title: 'Issued',
        about: 'Of the exchanges',
        unit: 'percentunit',
        isNumber: true,
        queries: [
          [
            `sum(${rate(`${service}_exchanges_total`, 'outcome="issued"')}) / sum(${rate(`${service}_exchanges_total`)})`,
            '',
          ],
        ],
      },
      {
        title: 'Answered with 5xx',
        unit: 'reqps',
        isNumber: true,
        queries: [[`sum(${rate(`${service}_requests_total`, 'status=~"5.."')}) or vector(0)`, '']],
      },
      {
        title: 'Turned away',
        about: 'There was more to do than could be done.',
        unit: 'reqps',
        isNumber: true,
        queries: [[`sum(${rate(`${service}_shed_total`)})`, '']],
      },
      {
        title: 'Issuers that do not answer',
        about: 'Documents that could not be read when they were asked for last',
        unit: 'short',
        isNumber: true,
        queries: [[`sum(${service}_issuer_documents_failing${selected()})`, '']],
      },
      {
        title: 'Replicas',
        unit: 'short',
        isNumber: true,
        queries: [[`count(cloudsignal_build_info${selected('program="token-service"')})`, '']],
      },
    ],
    Credentials: [
      {
        title: 'Exchanges by outcome',
        unit: 'reqps',
        queries: [[perSecond(`${service}_exchanges_total`, 'outcome'), '{{outcome}}']],
      },
      {
        title: 'Exchanges by provider',
        unit: 'reqps',
        queries: [[perSecond(`${service}_exchanges_total`, 'provider_type'), '{{provider_type}}']],
      },
      {
        title: 'Time of an exchange',
        unit: 's',
        queries: durations(`${service}_exchange_duration_seconds`, 'provider_type'),
      },
      {
        title: 'By API key',
        unit: 'reqps',
        queries: [[perSecond(`${service}_tokens_total`, 'kind, outcome'), '{{kind}} {{outcome}}']],
      },
      {
        title: 'Renewals and revocations',
        unit: 'reqps',
        queries: [
          [perSecond(`${service}_renewals_total`, 'outcome'), 'renewals: {{outcome}}'],
          [`sum(${rate(`${service}_revocations_total`)})`, 'revocations'],
        ],
      },
      auditPanel,
    ],
    Requests: [
      {
        title: 'By route',
        unit: 'reqps',
        queries: [[perSecond(`${service}_requests_total`, 'method, route'), '{{method}} {{route}}']],
      },
      {
        title: 'By status',
        unit: 'reqps',
        queries: [[perSecond(`${service}_requests_total`, 'status'), '{{status}}']],
      },
      {
        title: 'Time of a request',
        unit: 's',
        queries: [durations(`${service}_request_duration_seconds`, 'route').at(-1) ?? ['', '']],
      },
      {
        title: 'Over a limit',
        unit: 'reqps',
        queries: [
          [perSecond(`${service}_limited_total`, 'limit'), '{{limit}}'],
          [`sum(${rate(`${service}_shed_total`)})`, 'turned away'],
        ],
      },
    ],
    Issuers: [
      {
        title: 'Providers asked whether somebody may still sign in',
        about: 'spec.liveCheck of an IdentityProvider',
        unit: 'reqps',
        queries: [
          [
            perSecond(`${service}_live_checks_total`, 'provider_type, outcome'),
            '{{provider_type}} {{outcome}}',
          ],
        ],
      },
      {
        title: 'Webhooks by status',
        about: '200: genuine; 401: not genuine, or seen before.',
        unit: 'reqps',
        queries: [
          [
            perSecond(`${service}_requests_total`, 'status', 'route="/v1/webhooks/:organization/:provider"'),
            '{{status}}',
          ],
        ],
      },
      {
        title: 'Webhooks that were refused',
        unit: 'reqps',
        queries: [
          [perSecond('cloudsignal_audit_events_total', 'outcome', 'event="webhook.refused"'), '{{outcome}}'],
        ],
      },
      {
        title: 'Documents asked for',
        unit: 'reqps',
        queries: [
          [perSecond(`${service}_issuer_fetches_total`, 'document, outcome'), '{{document}} {{outcome}}'],
        ],
      },
      {
        title: 'Time until a document is there',
        unit: 's',
        queries: durations(`${service}_issuer_fetch_duration_seconds`, 'document'),
      },
      {
        title: 'Documents at hand',
        unit: 'short',
        queries: [
          [`sum by (document) (${service}_issuer_documents_known${selected()})`, '{{document}}'],
          [`sum by (document) (${service}_issuer_documents_failing${selected()})`, '{{document}} failing'],
          [perSecond(`${service}_stale_documents_used_total`, 'document'), '{{document}} used though old'],
        ],
      },
    ],
    Redis: [
      ...redisRow,
      {
        title: 'How old the copy of the records is',
        unit: 's',
        queries: [[`${service}_control_log_staleness_seconds${selected()}`, '{{pod}}']],
      },
    ],
    Process: processRow,
  },
}
