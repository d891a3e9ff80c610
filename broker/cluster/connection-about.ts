import type { ConnectionAbout } from '#core/stores/session-directory.ts'
import type { Admission } from '../admission/admission.ts'
import type { Connection } from '../connection/connection.ts'

/** What whoever lists sessions is told. */
export function aboutOf({ transport, version }: Connection, { source }: Admission): ConnectionAbout {
  const { remoteAddress: address, listener } = transport
  const credential = source.type === 'credential' ? { credential: source.name } : {}
  return { address, listener, version, ...credential }
}
