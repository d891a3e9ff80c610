import type { Admission } from '../admission/admission.ts'
import type { Connection } from '../connection/connection.ts'

/** The other end of a connection, as far as anybody knows it without having read anything. */
export type Peer = Pick<Connection, 'transport' | 'version'>

/** Somebody who was let in. */
export interface AuditedClient {
  readonly admission: Admission
  readonly clientId: string
}

const versions = { 3: '3.1', 4: '3.1.1', 5: '5' } as const

/** The fields that every event of a client has. */
export function clientFields(peer: Peer, { admission, clientId }: AuditedClient) {
  const { organizationId, principal, source } = admission
  return {
    organization: organizationId,
    username: `${source.name}@${organizationId}`,
    principal,
    credential: source.type === 'credential' ? source.name : undefined,
    clientId,
    ...peerFields(peer),
  }
}

export function peerFields({ transport, version }: Peer) {
  return { address: transport.remoteAddress, protocol: transport.listener, version: versions[version] }
}
