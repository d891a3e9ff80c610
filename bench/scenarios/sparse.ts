import { benchCertificate } from '../brokers/bench-certificate.ts'
import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import { compare } from '../compare.ts'
import { generate } from '../generator.ts'
import type { Scenario } from '../scenario.ts'

const clients = 200
const perSecond = 2000

export const sparse: Scenario = {
  name: 'sparse',
  summary: `CPU of the broker for one message of QoS 0 over TLS where ${clients} publishers send ${perSecond} a second in all, each to one subscriber: nothing comes in rows`,
  unit: 'µs/message',
  against: 'mosquitto',
  goal: { figure: 'ours', atMost: 150 },
  async run(bench) {
    const certificate = await benchCertificate(bench)
    const ours = await startOurs(bench, { certificate })
    const peer = await startMosquitto(bench, { certificate })
    return compare(bench, { ours, peer }, async (target, round) => {
      const { printed, cpu } = await generate(bench, target, 'rate', {
        npub: clients,
        nsub: clients,
        size: 256,
        rate: perSecond,
        dur: bench.options.seconds,
        warm: 2,
        pt: `bench/${round}/%d`,
        sf: `bench/${round}/%d`,
      })
      const received = printed['recv_s'] ?? 0
      return {
        value: ((cpu['broker'] ?? 0) * 1e6) / received,
        cpu,
        delivered: Math.round(received * bench.options.seconds),
        lost: Math.max(0, printed['lost'] ?? 0),
        p99_ms: (printed['p99us'] ?? 0) / 1000,
      }
    })
  },
}
