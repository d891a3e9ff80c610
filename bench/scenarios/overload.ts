import { startIssuer } from '../../test/fixtures/issuer.ts'
import { rounded } from '../compare.ts'
import { exchangeRequests, loadHttp } from '../http-load.ts'
import type { Scenario } from '../scenario.ts'
import { signTokens } from '../services/exchange-tokens.ts'
import { startTokenService } from '../services/token-service.ts'

const people = 4000
const times = 10
/** Those that can be on their way at the same time; the others wait for a connection. */
const connections = 2000

export const overload: Scenario = {
  name: 'overload',
  summary: `${times} times as many exchanges as can be done are due; those accepted, and how long they take`,
  unit: 'exchanges/s',
  against: '-',
  goal: { figure: 'p99_ms', atMost: 500 },
  async run(bench) {
    const issuer = await startIssuer()
    try {
      const { tokens, ...rest } = await signTokens(issuer, 'ES256', people)
      const service = await startTokenService(bench, { tokens, ...rest })
      const requests = await exchangeRequests(bench, service, tokens)
      const alone = await loadHttp(bench, service, requests, { conns: 64 })
      const capacity = alone.load.accepted / alone.load.secs
      const rate = Math.round(capacity * times)
      const { load, cpu } = await loadHttp(bench, service, requests, { conns: connections, rate, warm: 4 })
      bench.options.say(`  ${JSON.stringify({ capacity: rounded(capacity), ...load, cpu })}`)
      if (load.other > 0 || load.broken > 0 || load.without_retry_after > 0) {
        throw new Error(
          `something else than 2xx or 503 with Retry-After was answered: ${JSON.stringify(load)}`,
        )
      }
      const answered = load.accepted + load.limited + load.unavailable
      return {
        ours: rounded(load.accepted / load.secs),
        p99_ms: load.p99us / 1000,
        cpu: { ours: cpu },
        delivered: { ours: load.accepted },
        note: [
          `${rounded(capacity)}/s without overload`,
          `${rate}/s due, ${rounded(answered / load.secs)}/s asked`,
          `${rounded((load.limited + load.unavailable) / load.secs)}/s refused within ${load.refused_p99us / 1000} ms`,
        ].join('; '),
      }
    } finally {
      await issuer.close()
    }
  },
}
