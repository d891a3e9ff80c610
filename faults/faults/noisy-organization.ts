import mqtt from 'mqtt'
import { anotherOrganizationId } from '../../test/fixtures/records.ts'
import type { Fault } from '../fault.ts'
import { optionsOf } from '../traffic.ts'

const lastsMs = 5_000
const topics = Array.from({ length: 100 }, (_, index) => `noise/${index}`)

export const noisyOrganization: Fault = {
  name: 'noisy-organization',
  summary: 'another organization publishes as fast as it can for five seconds, on every replica',
  mostGapMs: () => 2_000,
  async run(stage, traffic) {
    const clients = await Promise.all(
      stage
        .urls()
        .map((url, index) =>
          mqtt.connectAsync(url, optionsOf(stage, 'ada', `noisy-${index}`, anotherOrganizationId)),
        ),
    )
    const until = performance.now() + lastsMs
    const payload = Buffer.alloc(256)
    while (performance.now() < until) {
      // No faster than it is taken: what waits here would hold up nobody but ourselves.
      await Promise.all(
        clients.flatMap((client) => topics.map((topic) => client.publishAsync(topic, payload))),
      )
    }
    await traffic.flows()
    await Promise.all(clients.map((client) => client.endAsync(true)))
  },
}
