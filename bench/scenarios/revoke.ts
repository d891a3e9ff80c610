import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { silentLog } from '#core/process/logger.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, everything, type TestClient } from '../../test/fixtures/broker.ts'
import { aCredential, anApiKey, anOrganizationId as org, aUser } from '../../test/fixtures/records.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Target } from '../brokers/target.ts'
import { quantile } from '../compare.ts'
import type { Scenario } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'

const program = join(import.meta.dirname, '../../token-service/main.ts')
const messagesPerSecond = 50
const revocationsPerRound = 40
const access = { ...emptyPolicy, rules: [...everything] }

export const revoke: Scenario = {
  name: 'revoke',
  summary: `POST /v1/revocations until the last message that a subscriber on either of two replicas gets, ${messagesPerSecond} messages a second`,
  unit: 'ms',
  against: '-',
  goal: { figure: 'p99_ms', atMost: 100 },
  async run(bench) {
    const target = await startOurs(bench, { replicas: 2 })
    const redis = connectRedis(target.redisUrl ?? '', 'bench', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
    const service = await startService(bench, redis, target)
    const publisher = await connectClient(`mqtt://127.0.0.1:${target.publish}`, 'publisher')
    const flowing = setInterval(
      () => publisher.mqtt.publish('news', String(performance.now())),
      1_000 / messagesPerSecond,
    )
    const outcomes: Outcome[] = []
    try {
      for (let round = 0; round < bench.options.rounds * revocationsPerRound; round += 1) {
        outcomes.push(await service.revokeOnce(round))
      }
    } finally {
      clearInterval(flowing)
      await publisher.end()
      await closeRedis(redis)
      await target.stop()
    }
    const [last, answered] = (['lastMs', 'answeredMs'] as const).map((key) =>
      outcomes.map((outcome) => outcome[key]),
    ) as [number[], number[]]
    const unconfirmed = outcomes.filter(({ isConfirmed }) => !isConfirmed).length
    return {
      ours: rounded(quantile(last, 0.5)),
      p99_ms: rounded(quantile(last, 0.99)),
      delivered: { ours: outcomes.length },
      note:
        `answered after ${rounded(quantile(answered, 0.5))} ms, p99 ${rounded(quantile(answered, 0.99))} ms; ` +
        `${unconfirmed} of ${outcomes.length} not confirmed by both replicas`,
    }
  },
}

interface Outcome {
  /** From the call to the last message at either subscriber; 0 when there was none after the call. */
  readonly lastMs: number
  readonly answeredMs: number
  readonly isConfirmed: boolean
}

async function startService(
  bench: Workbench,
  redis: Redis,
  target: Target,
): Promise<{ revokeOnce(round: number): Promise<Outcome> }> {
  const keys = redisKeys()
  const log = new RedisControlLog(redis, keys)
  const identities = new RedisIdentityStore(redis, keys, log)
  const credentials = new RedisCredentialStore(redis, keys, log)
  const apiKey = generateSecret('sk')
  await identities.put('api-key', org, 'bench', anApiKey('bench', apiKey, { scopes: ['revoke'] }))
  await identities.put('user', org, 'publisher', aUser('publisher', 'publisher-password', { access }))
  const tool = bench.start(target.generator, process.execPath, [program], {
    CLOUDSIGNAL_REDIS_URL: target.redisUrl ?? '',
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE: '100000',
  })
  const [line] = await tool.wrote(/^\{.*"the token service is listening".*\}$/m)
  const { port } = JSON.parse(line) as { readonly port: number }

  const call = async (body: object): Promise<{ unconfirmed_replicas: readonly string[] }> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`the revocation was answered with ${await response.text()}`)
    return (await response.json()) as { unconfirmed_replicas: readonly string[] }
  }

  return {
    async revokeOnce(round) {
      const local = `tmp_${round}`
      const principal = `worker:${round}` as const
      await credentials.create(
        org,
        local,
        aCredential(local, `${local}-password`, { access, principal }),
        600,
      )
      const ports = [target.publish, target.subscribe]
      const clients = await Promise.all(ports.map((each) => connectClient(`mqtt://127.0.0.1:${each}`, local)))
      const lastAt = clients.map(() => 0)
      for (const [index, { mqtt }] of clients.entries()) {
        mqtt.on('message', () => (lastAt[index] = performance.now()))
        await mqtt.subscribeAsync('news')
      }
      await untilAll(() => lastAt.every((time) => time > 0))
      // By turns one credential and all of an identity.
      const calledAt = performance.now()
      const { unconfirmed_replicas } = await call(round % 2 === 0 ? { id: local } : { principal })
      const answeredMs = performance.now() - calledAt
      await untilAll(() => clients.every((client: TestClient) => client.closed()))
      await Promise.all(clients.map((client) => client.end()))
      return {
        lastMs: Math.max(0, ...lastAt.map((time) => time - calledAt)),
        answeredMs,
        isConfirmed: unconfirmed_replicas.length === 0,
      }
    },
  }
}

async function untilAll(check: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!check()) {
    if (performance.now() > end) throw new Error('a subscriber is still there, or gets nothing')
    await pause(5)
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
