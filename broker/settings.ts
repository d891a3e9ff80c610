import { defaultPerSubject } from '#core/credentials/renew-credential.ts'
import { commonSettings } from '#core/process/common-settings.ts'
import { port, type Setting, text, wholeNumber } from '#core/process/settings.ts'

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
  tlsCertFile: file('CLOUDSIGNAL_BROKER_TLS_CERT_FILE', 'PEM file with the certificate chain.'),
  tlsKeyFile: file('CLOUDSIGNAL_BROKER_TLS_KEY_FILE', 'PEM file with its private key.'),
} as const
