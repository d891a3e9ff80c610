import type { Session } from '../connection/session.ts'
import type { Connection } from '../connection/connection.ts'
import type { ClientRegistry } from './client-registry.ts'
import { aboutOf } from './connection-about.ts'

const tellAfterMs = 1_000
/** Of one connection: it is for people who look. */
const most = 100

/**
 * What the store does not hold of a session that ends with its connection: its subscriptions, told to whoever lists
 * sessions a moment after they changed. What could not be told is told with the next change.
 */
export class ToldSubscriptions {
  readonly #registry: ClientRegistry
  readonly #changed = new Map<Connection, Session>()
  #isDue = false

  constructor(registry: ClientRegistry) {
    this.#registry = registry
  }

  changed(connection: Connection, session: Session): void {
    if (session.isStored) return
    this.#changed.set(connection, session)
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => this.#tell(), tellAfterMs).unref()
  }

  #tell(): void {
    this.#isDue = false
    for (const [connection, session] of this.#changed) {
      if (connection.closed || session.claim === undefined) continue
      const subscriptions = session.subscriptions.all().map(({ topic }) => topic)
      const about = { ...aboutOf(connection, session.admission), subscriptions: subscriptions.slice(0, most) }
      this.#registry.tell(session.claim, about).catch(() => {})
    }
    this.#changed.clear()
  }
}
