import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeProblem, isDomainError } from '#core/errors.ts'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { redisTls } from '#core/redis/redis-tls.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'
import { startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { startRedisSentinels } from '../../fixtures/redis-sentinel.ts'
import { listeningOn, startRedisProcess } from '../../fixtures/redis-server.ts'

let certificate: TestCertificate
let other: TestCertificate
let directory: string
beforeAll(async () => {
  ;[certificate, other] = await Promise.all([makeCertificate(), makeCertificate()])
  directory = await mkdtemp(join(tmpdir(), 'cloudsignal-tls-'))
})
afterAll(() => Promise.all([certificate.remove(), other.remove(), rm(directory, { recursive: true })]))

const none = { redisCaFile: '', redisCertFile: '', redisKeyFile: '' }
const filesOf = ({ certFile, keyFile }: Pick<TestCertificate, 'certFile' | 'keyFile'>) => ({
  redisCaFile: certFile,
  redisCertFile: certFile,
  redisKeyFile: keyFile,
})

/** Resolves with whether it is let in. */
async function answers(url: string, files: typeof none): Promise<boolean> {
  const redisUrl = redisLocation(url)
  const refused = new AbortController()
  const log = { ...silentLog, warn: () => refused.abort() }
  const redis = connectRedis(redisUrl, 'test', log, redisTls({ redisUrl, ...files }))
  const isReady = await untilReady(redis, refused.signal).then(
    () => true,
    () => false,
  )
  const isAnswered = isReady && (await redis.set('key', 'value')) === 'OK'
  await closeRedis(redis)
  return isAnswered
}

describe.each([
  [
    'one Redis',
    async () => {
      const server = await startRedisProcess((port) => listeningOn(port, certificate))
      return { url: server.url.replace('redis:', 'rediss:'), stop: server.stop }
    },
  ],
  ['Sentinels', () => startRedisSentinels({ tls: certificate, password: 'p', sentinelPassword: 's' })],
  ['a Cluster', () => startRedisCluster({ tls: certificate, password: 'p', replicasEach: 0 })],
] as const)('%s with TLS and certificates of both sides', (_name, start) => {
  test('is reached with the right ones alone', async () => {
    const place = await start()
    expect(await answers(place.url, filesOf(certificate))).toBe(true)
    expect(await answers(place.url, none)).toBe(false)
    expect(await answers(place.url, { ...none, redisCaFile: certificate.certFile })).toBe(false)
    expect(await answers(place.url, { ...filesOf(certificate), redisCaFile: other.certFile })).toBe(false)
    await place.stop()
  })
})

describe('the files', () => {
  const problemsOf = (url: string, files: Partial<typeof none>): string[] => {
    try {
      redisTls({ redisUrl: redisLocation(url), ...none, ...files })
      return []
    } catch (error) {
      if (!isDomainError(error, 'invalid-settings')) throw error
      return error.problems.map(describeProblem)
    }
  }

  test('are refused with what to do when they are missing, none, or do not belong together', async () => {
    const noPem = join(directory, 'no.pem')
    await writeFile(noPem, '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n')
    const { certFile, keyFile } = certificate
    expect(problemsOf('rediss://r', filesOf(certificate))).toEqual([])
    expect(problemsOf('rediss://r', { redisCaFile: '/nowhere', redisKeyFile: '/no-key' })).toEqual([
      'CLOUDSIGNAL_REDIS_CA_FILE="/nowhere": name a PEM file that can be read',
      'CLOUDSIGNAL_REDIS_KEY_FILE="/no-key": name a PEM file that can be read',
    ])
    expect(problemsOf('rediss://r', { redisCertFile: certFile })).toEqual([
      'CLOUDSIGNAL_REDIS_KEY_FILE: give a certificate and its key, or neither',
    ])
    expect(problemsOf('rediss://r', { redisKeyFile: keyFile })).toEqual([
      'CLOUDSIGNAL_REDIS_CERT_FILE: give a certificate and its key, or neither',
    ])
    expect(problemsOf('rediss://r', { redisCaFile: noPem })[0]).toMatch(
      /^CLOUDSIGNAL_REDIS_CA_FILE: give PEM/,
    )
    expect(problemsOf('rediss://r', { redisCertFile: certFile, redisKeyFile: other.keyFile })).toEqual([
      'CLOUDSIGNAL_REDIS_CERT_FILE, CLOUDSIGNAL_REDIS_KEY_FILE: give PEM, and the key of the certificate',
    ])
    expect(problemsOf('redis://r', { redisCaFile: certFile })).toEqual([
      'CLOUDSIGNAL_REDIS_CA_FILE: remove it, or begin CLOUDSIGNAL_REDIS_URL with rediss',
    ])
  })

  test('are read again for each connection, and what does not fit together waits for the next', async () => {
    const server = await startRedisProcess((port) => listeningOn(port, certificate))
    const files = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') }
    const write = ({ certFile, keyFile }: TestCertificate): Promise<unknown> =>
      Promise.all([copyFile(certFile, files.certFile), copyFile(keyFile, files.keyFile)])
    await write(other)
    const redisUrl = redisLocation(server.url.replace('redis:', 'rediss:'))
    const options = redisTls({ redisUrl, ...filesOf(files) })
    const connection = connectRedis(redisUrl, 'test', silentLog, options)
    await expect(untilReady(connection, AbortSignal.timeout(500))).rejects.toThrow()
    await copyFile(certificate.certFile, files.certFile)
    await expect(untilReady(connection, AbortSignal.timeout(500))).rejects.toThrow()
    await copyFile(certificate.keyFile, files.keyFile)
    await untilReady(connection, AbortSignal.timeout(5_000))
    await closeRedis(connection)
    await server.stop()
  })
})
