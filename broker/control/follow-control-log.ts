import type { Clock } from '#core/clock.ts'
import { type ControlEntry, type ControlLogHandler, parseMoment } from '#core/stores/control-log.ts'
import type { ClientAuthorities } from '../admission/client-authorities.ts'
import type { Connection } from '../connection/connection.ts'
import type { LiveConnections } from '../connection/live-connections.ts'
import type { ControlMetrics } from './control-metrics.ts'
import type { OrganizationPurge } from '../deletion/organization-purge.ts'
import type { SessionPurge } from './purge-sessions.ts'

type Affected = (live: LiveConnections<Connection>, entry: ControlEntry) => readonly Connection[]

/** Which connections an entry of the control log makes look again at their records. */
const affected: Readonly<Record<ControlEntry['type'], Affected>> = {
  user: (live, { organization, name }) => live.ofSource({ organization, type: 'user', name }),
  credential: (live, { organization, name }) => live.ofSource({ organization, type: 'credential', name }),
  organization: (live, { organization }) => live.ofOrganization(organization),
  'access-list': (live, { organization }) => live.ofOrganization(organization),
  barrier: (live, { organization, name }) =>
    live.ofOrganization(organization).filter((connection) => connection.isBehind(name)),
  session: (live, { organization, name }) => {
    const id = parseMoment(name)?.of
    return live.ofOrganization(organization).filter((connection) => connection.id === id)
  },
  // Its credentials have entries of their own.
  principal: () => [],
  // What ends with them is behind barriers, which have entries of their own.
  provider: () => [],
  'api-key': () => [],
}

export interface ControlLogHandlerOptions {
  readonly live: LiveConnections<Connection>
  readonly purge: SessionPurge
  readonly organizationPurge: Pick<OrganizationPurge, 'look'>
  readonly authorities: Pick<ClientAuthorities, 'changed' | 'load'>
  readonly metrics: ControlMetrics
  /** The stores' time. */
  readonly now: Clock
}

/** Brings what changed to the live connections of this replica, and then to stored sessions of nobody. */
export function controlLogHandler({
  live,
  purge,
  organizationPurge,
  authorities,
  metrics,
  now,
}: ControlLogHandlerOptions): ControlLogHandler {
  return {
    async entry(entry, at) {
      metrics.read(entry.type, (now() - at) / 1_000)
      const connections = affected[entry.type]?.(live, entry) ?? []
      const ended = await (entry.type === 'session' ? endAll(connections, entry) : reviewAll(connections))
      metrics.ended(ended, (now() - at) / 1_000)
      if (entry.type === 'organization') {
        await authorities.changed(entry.organization)
        organizationPurge.look()
      }
      await purge.entry(entry)
      return ended
    },
    async gap() {
      metrics.gap()
      const ended = await reviewAll(live.all())
      await authorities.load()
      organizationPurge.look()
      await purge.all()
      return ended
    },
  }
}

/** Resolves with how many of them have ended. */
async function reviewAll(connections: readonly Connection[]): Promise<number> {
  await Promise.all(connections.map((connection) => connection.review()))
  return connections.filter(({ closed }) => closed).length
}

/** Those that were there by then. */
async function endAll(connections: readonly Connection[], { name }: ControlEntry): Promise<number> {
  const at = parseMoment(name)?.at ?? 0
  const meant = connections.filter(({ session }) => (session?.claim?.since ?? Infinity) <= at)
  await Promise.all(meant.map((connection) => connection.end('ended')))
  return meant.length
}
