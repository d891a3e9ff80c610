import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { DomainError, type Problem } from '#core/errors.ts'
import type { RedisLocation } from './redis-location.ts'

/** The settings that say how TLS is spoken; an empty path where none was given. */
export interface RedisTlsSettings {
  readonly redisUrl: RedisLocation
  readonly redisCaFile: string
  readonly redisCertFile: string
  readonly redisKeyFile: string
}

const names = {
  redisCaFile: 'CLOUDSIGNAL_REDIS_CA_FILE',
  redisCertFile: 'CLOUDSIGNAL_REDIS_CERT_FILE',
  redisKeyFile: 'CLOUDSIGNAL_REDIS_KEY_FILE',
} as const

/**
 * The TLS of every connection to Redis and to its Sentinels. The files are read again for each, so that renewed
 * ones are used; those that do not fit together wait for the next. Throws `invalid-settings` with every problem.
 */
export function redisTls(settings: RedisTlsSettings): Pick<RedisOptions, 'tls'> {
  const problems = problemsOf(settings)
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'some settings can not be used', { problems })
  }
  if (!settings.redisUrl.isTls) return {}
  if (givenOf(settings).length === 0) return { tls: {} }
  let known = contextOf(settings)
  return {
    tls: {
      get secureContext(): SecureContext {
        try {
          known = contextOf(settings)
        } catch {
          // The former one is the best there is.
        }
        return known
      },
    },
  }
}

function problemsOf(settings: RedisTlsSettings): Problem[] {
  const given = givenOf(settings)
  if (!settings.redisUrl.isTls) {
    return given.map((key) => ({
      field: names[key],
      remedy: 'remove it, or begin CLOUDSIGNAL_REDIS_URL with rediss',
    }))
  }
  const problems = given.flatMap((key) => {
    const isReadable = couldBe(() => readFileSync(settings[key]))
    return isReadable
      ? []
      : [{ field: names[key], value: settings[key], remedy: 'name a PEM file that can be read' }]
  })
  if (problems.length > 0) return problems
  if ((settings.redisCertFile === '') !== (settings.redisKeyFile === '')) {
    const missing = settings.redisCertFile === '' ? names.redisCertFile : names.redisKeyFile
    return [{ field: missing, remedy: 'give a certificate and its key, or neither' }]
  }
  if (couldBe(() => contextOf(settings))) return []
  return [
    { field: given.map((key) => names[key]).join(', '), remedy: 'give PEM, and the key of the certificate' },
  ]
}

function givenOf(settings: RedisTlsSettings): (keyof typeof names)[] {
  return (Object.keys(names) as (keyof typeof names)[]).filter((key) => settings[key] !== '')
}

function contextOf({ redisCaFile, redisCertFile, redisKeyFile }: RedisTlsSettings): SecureContext {
  return createSecureContext({
    ...(redisCaFile === '' ? {} : { ca: certificateIn(redisCaFile) }),
    ...(redisCertFile === '' ? {} : { cert: certificateIn(redisCertFile), key: readFileSync(redisKeyFile) }),
  })
}

/** Throws for a file without any: OpenSSL takes that for one that adds none. */
function certificateIn(path: string): Buffer {
  const content = readFileSync(path)
  if (!couldBe(() => new X509Certificate(content))) throw new Error('no certificate')
  return content
}

function couldBe(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}
