import { defaultKeyPrefix } from '#core/stores/redis-keys.ts'
import { logLevels, type LogLevel } from './logger.ts'
import { oneOf, port, Remedy, type Setting, url } from './settings.ts'

/** Settings that every program has, under the same names. */
export const commonSettings = {
  redisUrl: {
    name: 'CLOUDSIGNAL_REDIS_URL',
    description: 'Redis, such as redis://:password@redis:6379/0, or rediss:// for TLS.',
    parse: url('redis:', 'rediss:'),
    isSecret: true,
  } satisfies Setting<string>,
  keyPrefix: {
    name: 'CLOUDSIGNAL_KEY_PREFIX',
    description: 'First part of every Redis key; one per installation.',
    parse: (text: string): string | Remedy =>
      /^[a-z0-9-]{1,32}$/.test(text) ? text : new Remedy('give at most 32 characters of a-z, 0-9 and -'),
    default: defaultKeyPrefix,
  } satisfies Setting<string>,
  logLevel: {
    name: 'CLOUDSIGNAL_LOG_LEVEL',
    description: `Least level to log: ${logLevels.join(', ')}.`,
    parse: oneOf(logLevels),
    default: 'info',
  } satisfies Setting<LogLevel>,
  probePort: {
    name: 'CLOUDSIGNAL_PROBE_PORT',
    description: 'Port of /healthz, /readyz and /metrics; 0 takes a free one.',
    parse: port,
    default: 9090,
  } satisfies Setting<number>,
  probeHost: {
    name: 'CLOUDSIGNAL_PROBE_HOST',
    description: 'Address that the probe port listens on.',
    parse: (text: string): string => text,
    default: '0.0.0.0',
  } satisfies Setting<string>,
} as const
