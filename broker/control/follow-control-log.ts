import type { ControlEntry, ControlLogHandler } from '#core/stores/control-log.ts'
import type { Connection } from '../connection/connection.ts'
import type { LiveConnections } from '../connection/live-connections.ts'

/** Which connections an entry of the control log makes look again at their records. */
const affected: Readonly<
  Record<ControlEntry['type'], (live: LiveConnections<Connection>, entry: ControlEntry) => Connection[]>
> = {
  user: (live, { organization, name }) => live.ofSource({ organization, type: 'user', name }),
  credential: (live, { organization, name }) => live.ofSource({ organization, type: 'credential', name }),
  organization: (live, { organization }) => live.ofOrganization(organization),
  'access-list': (live, { organization }) => live.ofOrganization(organization),
  // Credentials that were issued stay what they are.
  provider: () => [],
  'api-key': () => [],
}

/** Brings what changed to the live connections of this replica. */
export function controlLogHandler(live: LiveConnections<Connection>): ControlLogHandler {
  return {
    entry: (entry) => {
      for (const connection of affected[entry.type]?.(live, entry) ?? []) connection.review()
    },
    gap: () => {
      for (const connection of live.all()) connection.review()
    },
  }
}
