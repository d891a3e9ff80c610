import { join } from 'node:path'
import { generateSecret } from '#core/credentials/secret.ts'
import { silentLog } from '#core/process/logger.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { anApiKey, anOrganization, anOrganizationId, aProvider } from '../../test/fixtures/records.ts'
import { startRedis } from '../brokers/redis.ts'
import type { Workbench } from '../workbench.ts'
import type { ExchangeTokens } from './exchange-tokens.ts'

const program = join(import.meta.dirname, '../../token-service/main.ts')

export interface BenchTokenService {
  readonly port: number
  readonly apiKey: string
  /** The Redis it runs on. */
  readonly redisUrl: string
  readonly processes: Readonly<Record<string, number>>
  stop(): Promise<void>
}

/** Never reached, always counted. */
const rate = '100000000'

/** Our token service as it runs in a pod, on Redis, with one organization, provider and API key. */
export async function startTokenService(
  bench: Workbench,
  tokens: ExchangeTokens,
): Promise<BenchTokenService> {
  const { first, besideOne } = bench.cores
  const redis = await startRedis(bench, besideOne)
  const apiKey = generateSecret('sk')
  await writeRecords(redis.url, tokens, apiKey)
  const { profile } = bench.options
  const profiled = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const tool = bench.start(first, process.execPath, [...profiled, program], {
    CLOUDSIGNAL_REDIS_URL: redis.url,
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
    CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE: rate,
    CLOUDSIGNAL_TOKEN_SERVICE_ORGANIZATION_PER_MINUTE: rate,
    CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE: rate,
    CLOUDSIGNAL_TOKEN_SERVICE_CREDENTIALS_PER_SUBJECT: '10000',
  })
  const [line] = await tool.wrote(/^\{.*"the token service is listening".*\}$/m)
  const { port } = JSON.parse(line) as { readonly port: number }
  return {
    port,
    apiKey,
    redisUrl: redis.url,
    processes: { service: tool.pid, redis: redis.tool.pid },
    async stop() {
      // A profile is written by a process that ends by itself.
      await tool.stop(profile === undefined ? 'SIGKILL' : 'SIGTERM')
      await redis.tool.stop()
    },
  }
}

async function writeRecords(
  url: string,
  { issuer, audience }: ExchangeTokens,
  apiKey: string,
): Promise<void> {
  const redis = connectRedis(url, 'bench', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const keys = redisKeys()
  const store = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
  await store.put('organization', anOrganizationId, 'organization', anOrganization())
  const settings = { issuer, audience: [audience] }
  const attributes = [{ name: 'role', claim: '/role' }]
  await store.put(
    'provider',
    anOrganizationId,
    'people',
    aProvider({ settings, attributes, lists: ['people'] }),
  )
  await store.put('api-key', anOrganizationId, 'backend', anApiKey('backend', apiKey))
  await store.markReady()
  await closeRedis(redis)
}
