import { commonSettings } from '#core/process/common-settings.ts'
import { flag, port, type Setting, type SettingsOf, text, url, wholeNumber } from '#core/process/settings.ts'
import { defaultMostPerSubject } from './issuing/exchange-identity.ts'

export const settings = {
  ...commonSettings,
  httpPort: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT',
    description: 'Port of the API; 0 takes a free one. Plain HTTP: put TLS in front of it.',
    parse: port,
    default: 8080,
  } satisfies Setting<number>,
  httpHost: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST',
    description: 'Address that the API listens on.',
    parse: text,
    default: '0.0.0.0',
  } satisfies Setting<string>,
  allowPrivateIssuers: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS',
    description:
      'Whether identity providers may lie in private networks, on any port and without TLS. Every organization can then make this service ask addresses inside.',
    parse: flag,
    default: false,
  } satisfies Setting<boolean>,
  mostPerSubject: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_CREDENTIALS_PER_SUBJECT',
    description:
      'Live credentials that one person, agent or worker may have; when there are more, those that would end first end at once.',
    parse: wholeNumber(1, 10_000),
    default: defaultMostPerSubject,
  } satisfies Setting<number>,
  mqttsUrl: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_MQTTS_URL',
    description: 'Shown to callers: where to connect, such as mqtts://mqtt.example.com:8883.',
    parse: url('mqtts:'),
    default: '',
  } satisfies Setting<string>,
  wssUrl: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_WSS_URL',
    description: 'Shown to callers: where to connect over WebSocket, such as wss://mqtt.example.com:18885/.',
    parse: url('wss:'),
    default: '',
  } satisfies Setting<string>,
} as const

export type Settings = SettingsOf<typeof settings>
