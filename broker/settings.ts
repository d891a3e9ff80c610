import { availableParallelism } from 'node:os'
import { defaultPerSubject } from '#core/credentials/renew-credential.ts'
import { commonSettings } from '#core/process/common-settings.ts'
import { AddressRanges } from '#core/network/address-ranges.ts'
import {
  commaList,
  port,
  Remedy,
  type Setting,
  type SettingsOf,
  text,
  wholeNumber,
} from '#core/process/settings.ts'
import { defaultThrottleLimits } from './admission/connect-throttle.ts'
import { defaultPasswordCheckLimits } from './admission/password-checks.ts'
import { defaultLimits } from './limits.ts'
import { longestStalenessMs } from '#core/stores/control-log.ts'

const addressRanges = (given: string): AddressRanges | Remedy =>
  AddressRanges.parse(commaList(given)) ??
  new Remedy('give addresses or ranges in CIDR notation, with commas between them')
const count = wholeNumber(1, 512)
const attempts = wholeNumber(0, 1_000_000)
const file = (name: string, description: string): Setting<string> => ({ name, description, parse: text })

/** Every setting of the broker, read once from the environment. */
export const brokerSettings = {
  ...commonSettings,
  host: {
    name: 'CLOUDSIGNAL_BROKER_HOST',
    description: 'Address that MQTT listens on.',
    parse: text,
    default: '0.0.0.0',
  } satisfies Setting<string>,
  mqttsPort: {
    name: 'CLOUDSIGNAL_BROKER_MQTTS_PORT',
    description: 'Port of MQTT over TLS.',
    parse: port,
    default: 8883,
  } satisfies Setting<number>,
  wssPort: {
    name: 'CLOUDSIGNAL_BROKER_WSS_PORT',
    description: 'Port of MQTT over WebSocket and TLS, path /.',
    parse: port,
    default: 18_885,
  } satisfies Setting<number>,
  mqttPort: {
    name: 'CLOUDSIGNAL_BROKER_MQTT_PORT',
    description: 'Port of MQTT without TLS, for tests and trusted networks only; closed unless given.',
    parse: port,
    default: undefined,
  } satisfies Setting<number | undefined>,
  workers: {
    name: 'CLOUDSIGNAL_BROKER_WORKERS',
    description:
      'How many processes share the ports, each a replica of its own, so that the broker uses more than one core; auto for as many as there are cores. Ports then have to be given.',
    parse: (given: string): number | Remedy => (given === 'auto' ? availableParallelism() : count(given)),
    default: 1,
  } satisfies Setting<number>,
  expiryNoticeSeconds: {
    name: 'CLOUDSIGNAL_BROKER_EXPIRY_NOTICE_SECONDS',
    description:
      'How long before its credential ends a client is told on $cloudsignal/credential/expiring; never earlier than in the last tenth of its life.',
    parse: wholeNumber(1, 86_400),
    default: 300,
  } satisfies Setting<number>,
  subjectPerMinute: {
    name: 'CLOUDSIGNAL_BROKER_SUBJECT_PER_MINUTE',
    description:
      'Exchanges and renewals a minute of one person, for renewals over MQTT: as CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE, with which they are counted.',
    parse: wholeNumber(1, 1_000_000_000),
    default: defaultPerSubject,
  } satisfies Setting<number>,
  failedPerClient: {
    name: 'CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_CLIENT',
    description:
      'Attempts a minute with a wrong name or password, with one name from one address (of IPv6: from one /64), before further ones are refused unseen; 0 for no limit. This and the next two count at each replica.',
    parse: attempts,
    default: defaultThrottleLimits.perClient,
  } satisfies Setting<number>,
  failedPerName: {
    name: 'CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_NAME',
    description:
      'The same with one name from everywhere. Addresses from which it signed in within a day are not refused.',
    parse: attempts,
    default: defaultThrottleLimits.perName,
  } satisfies Setting<number>,
  failedPerAddress: {
    name: 'CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_ADDRESS',
    description:
      'The same from one address with any name. Names that signed in from it within a day are not refused. Give 0 where all clients seem to come from one address.',
    parse: attempts,
    default: defaultThrottleLimits.perAddress,
  } satisfies Setting<number>,
  passwordChecks: {
    name: 'CLOUDSIGNAL_BROKER_PASSWORD_CHECKS',
    description:
      'Passwords that people chose which are hashed at a time, at each replica. Each takes up to 32 MiB, and one of the four threads that Node has for all that blocks (UV_THREADPOOL_SIZE). Generated passwords need none of it.',
    parse: wholeNumber(1, 128),
    default: defaultPasswordCheckLimits.hashing,
  } satisfies Setting<number>,
  passwordChecksWaiting: {
    name: 'CLOUDSIGNAL_BROKER_PASSWORD_CHECKS_WAITING',
    description: 'How many wait for that; one more client is told to come back.',
    parse: wholeNumber(1, 10_000),
    default: defaultPasswordCheckLimits.waiting,
  } satisfies Setting<number>,
  passwordChecksPerName: {
    name: 'CLOUDSIGNAL_BROKER_PASSWORD_CHECKS_PER_NAME',
    description: 'How many are hashed or wait with one username.',
    parse: wholeNumber(1, 10_000),
    default: defaultPasswordCheckLimits.ofName,
  } satisfies Setting<number>,
  maxStalenessSeconds: {
    name: 'CLOUDSIGNAL_BROKER_MAX_STALENESS_SECONDS',
    description:
      'How long the control log may be unreadable until this replica, which can not know any more who was revoked, sends its clients away and takes no new ones.',
    parse: wholeNumber(3, longestStalenessMs / 1_000),
    default: longestStalenessMs / 1_000,
  } satisfies Setting<number>,
  proxies: {
    name: 'CLOUDSIGNAL_BROKER_PROXY_PROTOCOL_FROM',
    description:
      'Addresses of load balancers, such as 10.0.0.0/8,192.0.2.7: their connections, and nobody else’s, begin with a PROXY header (version 1 or 2) that says whom they are from; docs/network.md.',
    parse: addressRanges,
    default: undefined,
  } satisfies Setting<AddressRanges | undefined>,
  drainDelaySeconds: {
    name: 'CLOUDSIGNAL_BROKER_DRAIN_DELAY_SECONDS',
    description:
      'How long after SIGTERM new connections are still taken: until load balancers have heard that this replica is not ready.',
    parse: wholeNumber(0, 600),
    default: 0,
  } satisfies Setting<number>,
  drainSeconds: {
    name: 'CLOUDSIGNAL_BROKER_DRAIN_SECONDS',
    description:
      'Then, how long it takes to send all clients away, in steps. A termination grace period has to be 15 seconds longer than this and the delay together.',
    parse: wholeNumber(0, 3_600),
    default: 15,
  } satisfies Setting<number>,
  serverReference: {
    name: 'CLOUDSIGNAL_BROKER_SERVER_REFERENCE',
    description:
      'Another address that MQTT 5 clients are told to use when this broker shuts down, such as other.example.com:8883. By default they are told that it shuts down, and come back by the address they know.',
    parse: text,
    default: '',
  } satisfies Setting<string>,
  deferredWillSeconds: {
    name: 'CLOUDSIGNAL_BROKER_DEFERRED_WILL_SECONDS',
    description:
      'How long the will of a client that was sent away by a shutdown waits for it to come back, to any replica, before it is published.',
    parse: wholeNumber(0, 600),
    default: defaultLimits.deferredWillSeconds,
  } satisfies Setting<number>,
  tlsCertFile: file('CLOUDSIGNAL_BROKER_TLS_CERT_FILE', 'PEM file with the certificate chain.'),
  tlsKeyFile: file('CLOUDSIGNAL_BROKER_TLS_KEY_FILE', 'PEM file with its private key.'),
} as const

type DrainSettings = Pick<SettingsOf<typeof brokerSettings>, 'drainDelaySeconds' | 'drainSeconds' | 'workers'>

/** How long a shutdown may take. What comes after the clients takes less; a supervisor waits for its workers. */
export const shutdownMs = ({ drainDelaySeconds, drainSeconds, workers }: DrainSettings): number =>
  (drainDelaySeconds + drainSeconds + (workers > 1 ? 12 : 10)) * 1_000
