import { auditLevels, type AuditLevel } from '#core/audit/audit.ts'
import { defaultMostOrganizations } from '#core/metrics/organization-labels.ts'
import { parseRedisUrl, type RedisLocation, redisUrlForms } from '#core/redis/redis-location.ts'
import { defaultTrailBounds } from '#core/stores/audit-trail.ts'
import { defaultKeyPrefix } from '#core/stores/redis-keys.ts'
import { logLevels, type LogLevel } from './logger.ts'
import { oneOf, port, Remedy, type Setting, text, wholeNumber } from './settings.ts'

/** Settings that every program has, under the same names. */
export const commonSettings = {
  redisUrl: {
    name: 'CLOUDSIGNAL_REDIS_URL',
    description: `Redis: ${redisUrlForms.join(', or ')}. With TLS rediss instead of redis.`,
    parse: parseRedisUrl,
    isSecret: true,
  } satisfies Setting<RedisLocation>,
  redisCaFile: {
    name: 'CLOUDSIGNAL_REDIS_CA_FILE',
    description:
      'PEM file of the authorities that Redis certificates are checked against; those of the system when empty.',
    parse: text,
    default: '',
  } satisfies Setting<string>,
  redisCertFile: {
    name: 'CLOUDSIGNAL_REDIS_CERT_FILE',
    description: 'PEM file with the certificate that Redis wants of its clients, if any.',
    parse: text,
    default: '',
  } satisfies Setting<string>,
  redisKeyFile: {
    name: 'CLOUDSIGNAL_REDIS_KEY_FILE',
    description: 'PEM file with its private key.',
    parse: text,
    default: '',
  } satisfies Setting<string>,
  keyPrefix: {
    name: 'CLOUDSIGNAL_KEY_PREFIX',
    description: 'First part of every Redis key; one per installation.',
    parse: (given: string): string | Remedy =>
      /^[a-z0-9-]{1,32}$/.test(given) ? given : new Remedy('give at most 32 characters of a-z, 0-9 and -'),
    default: defaultKeyPrefix,
  } satisfies Setting<string>,
  logLevel: {
    name: 'CLOUDSIGNAL_LOG_LEVEL',
    description: `Least level to log: ${logLevels.join(', ')}.`,
    parse: oneOf(logLevels),
    default: 'info',
  } satisfies Setting<LogLevel>,
  audit: {
    name: 'CLOUDSIGNAL_AUDIT',
    description:
      'Which audit events the broker and the token service write to the log: all, refusals (all but what is routine) or off. They are counted in any case.',
    parse: oneOf(auditLevels),
    default: 'all',
  } satisfies Setting<AuditLevel>,
  auditKept: {
    name: 'CLOUDSIGNAL_AUDIT_KEPT',
    description:
      'How many audit events of an organization are kept in Redis for GET /v1/audit: so many of what is routine, of what ended, and of what was refused; 0 for none.',
    parse: wholeNumber(0, 100_000),
    default: defaultTrailBounds.events,
  } satisfies Setting<number>,
  auditKeptHours: {
    name: 'CLOUDSIGNAL_AUDIT_KEPT_HOURS',
    description: 'For how long.',
    parse: wholeNumber(1, 8_784),
    default: defaultTrailBounds.hours,
  } satisfies Setting<number>,
  metricsOrganizations: {
    name: 'CLOUDSIGNAL_METRICS_ORGANIZATIONS',
    description:
      'How many organizations have a label of their own in metrics: the first that a process sees, all others are "other"; 0 for none.',
    parse: wholeNumber(0, 10_000),
    default: defaultMostOrganizations,
  } satisfies Setting<number>,
  probePort: {
    name: 'CLOUDSIGNAL_PROBE_PORT',
    description: 'Port of /healthz, /readyz and /metrics; 0 takes a free one.',
    parse: port,
    default: 9090,
  } satisfies Setting<number>,
  probeHost: {
    name: 'CLOUDSIGNAL_PROBE_HOST',
    description: 'Address that the probe port listens on.',
    parse: text,
    default: '0.0.0.0',
  } satisfies Setting<string>,
} as const
