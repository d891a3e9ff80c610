/**
 * Writes docs/openapi.json from the routes of the token service. With --check it writes nothing and exits with 1 when
 * the file is not what it would write.
 */
import { Registry } from 'prom-client'
import { silentAudit } from '#core/audit/audit.ts'
import { systemClock } from '#core/clock.ts'
import { silentLog } from '#core/process/logger.ts'
import { MemoryApiKeyUses } from '#core/stores/memory-api-key-uses.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryMarks } from '#core/stores/memory-marks.ts'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import { buildApp } from '../token-service/app.ts'
import { generateFile } from './generated-file.ts'

const controlLog = new MemoryControlLog()
const app = buildApp({
  identities: new MemoryIdentityStore(controlLog),
  credentials: new MemoryCredentialStore(controlLog, systemClock),
  control: controlLog,
  sessions: { list: async () => ({ sessions: [] }), find: async () => undefined },
  keyUses: new MemoryApiKeyUses(),
  marks: new MemoryMarks(systemClock),
  fetchDocument: async (url) => {
    throw new Error(`nothing is fetched here, not even ${url}`)
  },
  askProvider: async () => {
    throw new Error('nobody is asked here')
  },
  sealing: undefined,
  limiter: new MemoryRateLimiter(systemClock),
  now: systemClock,
  log: silentLog,
  audit: silentAudit,
  auditTrail: { read: async () => ({ events: [] }) },
  registry: new Registry(),
})
const served = await app.inject({ url: '/openapi.json' })
await app.close()
const text = `${JSON.stringify(JSON.parse(served.body), undefined, 2)}\n`

await generateFile(new URL('../docs/openapi.json', import.meta.url), text)
