import type { IClientOptions } from 'mqtt'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { eventually } from '../test/fixtures/eventually.ts'
import { anOrganizationId } from '../test/fixtures/records.ts'
import { publishUntil, type RoamingClient, startRoamingClient } from '../test/fixtures/roaming-client.ts'
import type { Outcome } from './fault.ts'
import type { Stage } from './stage.ts'
import { Tally } from './tally.ts'

/** Publishers of QoS 1 and subscribers with sessions that are kept; whoever is sent away comes back at once, to anywhere. */
export interface Traffic {
  /** Resolves once so many more are acknowledged. */
  flows(count?: number): Promise<void>
  /** Ends it, and waits for what is still on its way. */
  end(name: string): Promise<Outcome>
}

const publishers = 10
const subscribers = 10
const flowsMs = 60_000
const quietMs = 20_000

export function optionsOf(
  stage: Stage,
  local: string,
  clientId: string,
  organization: OrganizationId = anOrganizationId,
): IClientOptions {
  return {
    username: `${local}@${organization}`,
    password: `${local}-password`,
    clientId,
    ca: stage.certificate,
    connectTimeout: 20_000,
  }
}

export async function startTraffic(stage: Stage): Promise<Traffic> {
  const tally = new Tally()
  const receivers: RoamingClient[] = []
  for (let index = 0; index < subscribers; index += 1) {
    const options = { ...optionsOf(stage, 'ada', `device-${index}`), clean: false }
    const receiver = startRoamingClient(stage.urls, options, (_topic, payload) =>
      tally.came(index, payload.toString(), performance.now()),
    )
    receivers.push(receiver)
    await (await receiver.connected()).subscribeAsync(`to/${index}`, { qos: 1 })
  }
  const over = new AbortController()
  let number = 0
  const next = (): { topic: string; payload: string } => {
    number += 1
    return { topic: `to/${number % subscribers}`, payload: String(number) }
  }
  const publishing = Array.from({ length: publishers }, (_, index) => {
    const roaming = startRoamingClient(stage.urls, optionsOf(stage, 'bob', `publisher-${index}`))
    return publishUntil(over.signal, roaming, next, (payload) => tally.acknowledged(payload))
  })
  const flows = async (count = 100): Promise<void> => {
    const enough = tally.acked + count
    await eventually(`${count} more messages are acknowledged`, () => tally.acked >= enough, flowsMs)
  }
  await flows()
  tally.watch(subscribers, performance.now())
  return {
    flows,
    async end(name) {
      tally.unwatch(performance.now())
      over.abort()
      await Promise.all(publishing)
      await eventually('all has come', () => tally.missing === 0, quietMs).catch(() => {})
      await Promise.all(receivers.map((receiver) => receiver.end()))
      return tally.outcome(name)
    },
  }
}
