import { benchCertificate } from '../brokers/bench-certificate.ts'
import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'

export const tls: Scenario = {
  name: 'tls',
  summary: 'QoS 0 as in qos0, every client over TLS 1.3, the same certificate on both sides',
  unit: 'messages/s',
  against: 'mosquitto',
  goal: { figure: 'ratio', atLeast: 1 },
  async run(bench) {
    const certificate = await benchCertificate(bench)
    const ours = await startOurs(bench, { certificate })
    const peer = await startMosquitto(bench, { certificate })
    return compareThroughput(bench, { ours, peer }, { ...oneToOne, qos: 0 })
  },
}
