import { isIP } from 'node:net'
import { commonSettings } from '#core/process/common-settings.ts'
import {
  commaList,
  flag,
  port,
  Remedy,
  type Setting,
  type SettingsOf,
  text,
  url,
  wholeNumber,
} from '#core/process/settings.ts'
import { sealingSetting } from '#core/sealing/sealing-key-file.ts'
import { defaultMostPerSubject } from './issuing/exchange-identity.ts'
import { defaultRates } from './limits/request-limits.ts'

const rate = wholeNumber(1, 1_000_000_000)

function subnets(text: string): readonly string[] | Remedy {
  const given = commaList(text)
  const isRight = given.every((each) => {
    const [address = '', bits] = each.split('/')
    const most = isIP(address) === 6 ? 128 : 32
    return isIP(address) !== 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))
  })
  return isRight ? given : new Remedy('give addresses and subnets such as 10.0.0.0/8, separated by commas')
}

/** How long a shutdown may take. */
export const shutdownMs = 25_000

export const settings = {
  ...commonSettings,
  sealingKeysFile: sealingSetting,
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
  trustedProxies: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_TRUSTED_PROXIES',
    description:
      'Addresses and subnets of proxies whose X-Forwarded-For is believed, separated by commas. Without them all clients behind a proxy have its address, and share its limit.',
    parse: subnets,
    default: [],
  } satisfies Setting<readonly string[]>,
  keyPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE',
    description: 'Requests a minute by one API key, where its resource says nothing (limits.perMinute).',
    parse: rate,
    default: defaultRates.perKey,
  } satisfies Setting<number>,
  organizationPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_ORGANIZATION_PER_MINUTE',
    description: 'Requests a minute of one organization.',
    parse: rate,
    default: defaultRates.perOrganization,
  } satisfies Setting<number>,
  withoutKeyPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_WITHOUT_KEY_PER_MINUTE',
    description:
      'Exchanges a minute without an API key at one organization, where it says nothing (exchange.public.limits.perMinute).',
    parse: rate,
    default: defaultRates.withoutKey,
  } satisfies Setting<number>,
  subjectPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE',
    description: 'Exchanges and renewals a minute of one person.',
    parse: rate,
    default: defaultRates.perSubject,
  } satisfies Setting<number>,
  addressPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_ADDRESS_PER_MINUTE',
    description:
      'Requests a minute from one address (of IPv6: from one /64) by callers without a secret key, and attempts with keys that are none.',
    parse: rate,
    default: defaultRates.perAddress,
  } satisfies Setting<number>,
  webhookPerMinute: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_WEBHOOK_PER_MINUTE',
    description:
      'Genuine webhooks a minute of one identity provider. Those that are not count by their address, and as they are refused.',
    parse: rate,
    default: defaultRates.perWebhook,
  } satisfies Setting<number>,
  usersApi: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_USERS_API',
    description:
      'Whether permanent users can be made by REST (/v1/users), as MqttUsers in the Kubernetes API: the service needs rights on them in the namespaces of the Organizations.',
    parse: flag,
    default: false,
  } satisfies Setting<boolean>,
  kubeconfig: {
    name: 'CLOUDSIGNAL_TOKEN_SERVICE_KUBECONFIG',
    description:
      'For the Users API: a kubeconfig file; when empty the mounted service account, else what kubectl would take.',
    parse: text,
    default: '',
  } satisfies Setting<string>,
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
