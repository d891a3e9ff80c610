import { commonSettings } from '#core/process/common-settings.ts'
import { sealingSetting } from '#core/sealing/sealing-key-file.ts'
import { commaList, port, Remedy, text, url, wholeNumber } from '#core/process/settings.ts'

const dnsName = (given: string): string | Remedy =>
  /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(given)
    ? given
    : new Remedy('give a name of a-z, 0-9, - and . that begins and ends with a letter or digit')

/** How long a shutdown may take. */
export const shutdownMs = 30_000

export const operatorSettings = {
  ...commonSettings,
  sealingKeysFile: sealingSetting,
  installation: {
    name: 'CLOUDSIGNAL_OPERATOR_INSTALLATION',
    description:
      'Goes into the short ids of Organizations that bring none. Another one changes every username: set it once.',
    parse: dnsName,
    default: 'cloudsignal',
  },
  namespaces: {
    name: 'CLOUDSIGNAL_OPERATOR_NAMESPACES',
    description: 'Namespaces to serve, with commas between; all when empty.',
    parse: commaList,
    default: [] as readonly string[],
  },
  kubeconfig: {
    name: 'CLOUDSIGNAL_OPERATOR_KUBECONFIG',
    description: 'A kubeconfig file; when empty the mounted service account, else what kubectl would take.',
    parse: text,
    default: '',
  },
  leaseNamespace: {
    name: 'CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE',
    description: 'Namespace of the Lease that replicas elect their leader by; when empty that of the Pod.',
    parse: dnsName,
    default: '',
  },
  leaseName: {
    name: 'CLOUDSIGNAL_OPERATOR_LEASE_NAME',
    description: 'Name of that Lease.',
    parse: dnsName,
    default: 'cloudsignal-operator',
  },
  leaseSeconds: {
    name: 'CLOUDSIGNAL_OPERATOR_LEASE_SECONDS',
    description: 'How long a leader that died is waited for.',
    parse: wholeNumber(3, 300),
    default: 15,
  },
  identity: {
    name: 'CLOUDSIGNAL_OPERATOR_IDENTITY',
    description: 'Name of this replica in the Lease and in Events; when empty the host name.',
    parse: text,
    default: '',
  },
  concurrency: {
    name: 'CLOUDSIGNAL_OPERATOR_CONCURRENCY',
    description: 'Objects of one kind that are reconciled at a time.',
    parse: wholeNumber(1, 100),
    default: 10,
  },
  finalizerSeconds: {
    name: 'CLOUDSIGNAL_OPERATOR_FINALIZER_SECONDS',
    description:
      'How long a deleted Organization or MqttUser is held while its record can not be removed from Redis; then it is let go, and the record goes when Redis is back.',
    parse: wholeNumber(1, 86_400),
    default: 300,
  },
  sweepPercent: {
    name: 'CLOUDSIGNAL_OPERATOR_SWEEP_PERCENT',
    description:
      'Records whose objects are missing, not deleted, are removed only while they are at most so many percent, or ten: of an Organization and of all. More stay until confirmed; 100 asks never.',
    parse: wholeNumber(0, 100),
    default: 20,
  },
  upkeepSeconds: {
    name: 'CLOUDSIGNAL_OPERATOR_UPKEEP_SECONDS',
    description: 'How often it is looked whether Redis still holds what it should, give or take a fifth.',
    parse: wholeNumber(1, 86_400),
    default: 60,
  },
  mqttHost: {
    name: 'CLOUDSIGNAL_OPERATOR_MQTT_HOST',
    description: 'Where clients find the broker, as generated Secrets tell them.',
    parse: text,
    default: 'localhost',
  },
  mqttsPort: {
    name: 'CLOUDSIGNAL_OPERATOR_MQTTS_PORT',
    description: 'Its port for MQTT over TLS.',
    parse: port,
    default: 8883,
  },
  wssPort: {
    name: 'CLOUDSIGNAL_OPERATOR_WSS_PORT',
    description: 'Its port for MQTT over secure WebSocket.',
    parse: port,
    default: 18885,
  },
  wssUrl: {
    name: 'CLOUDSIGNAL_OPERATOR_WSS_URL',
    description:
      'Where clients over WebSocket find it, where that is not this port of the host: wss://mqtt.example.com/.',
    parse: url('wss:'),
    default: '',
  },
} as const
