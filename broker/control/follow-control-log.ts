import type { ControlEntry, ControlLogHandler } from '#core/stores/control-log.ts'
import type { Connection } from '../connection/connection.ts'
import type { LiveConnections } from '../connection/live-connections.ts'

type Affected = (live: LiveConnections<Connection>, entry: ControlEntry) => readonly Connection[]

/** Which connections an entry of the control log makes look again at their records. */
const affected: Readonly<Record<ControlEntry['type'], Affected>> = {
  user: (live, { organization, name }) => live.ofSource({ organization, type: 'user', name }),
  credential: (live, { organization, name }) => live.ofSource({ organization, type: 'credential', name }),
  organization: (live, { organization }) => live.ofOrganization(organization),
  'access-list': (live, { organization }) => live.ofOrganization(organization),
  barrier: (live, { organization, name }) =>
    live.ofOrganization(organization).filter((connection) => connection.isBehind(name)),
  // Credentials that were issued stay what they are.
  provider: () => [],
  'api-key': () => [],
}

/** Brings what changed to the live connections of this replica. */
export function controlLogHandler(live: LiveConnections<Connection>): ControlLogHandler {
  return {
    entry: (entry) => reviewAll(affected[entry.type]?.(live, entry) ?? []),
    gap: () => reviewAll(live.all()),
  }
}

/** Resolves with how many of them have ended. */
async function reviewAll(connections: readonly Connection[]): Promise<number> {
  await Promise.all(connections.map((connection) => connection.review()))
  return connections.filter(({ closed }) => closed).length
}
