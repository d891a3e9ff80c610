import { hash } from 'node:crypto'

/**
 * The stable identity behind a connection. MQTT sessions belong to (organization, principal, client id):
 * a renewed credential of the same principal finds its session again, nobody else can.
 * Never holds a `/`, so that `<principal>/<client id>` can be taken apart.
 */
export type Principal =
  | `user:${string}`
  | `sub:${string}`
  | `agent:${string}`
  | `worker:${string}`
  | `key:${string}`
  | `tmp:${string}`

export const userPrincipal = (local: string): Principal => `user:${local}`

/**
 * An exchanged identity. The issuer is part of it, so that a provider recreated with another issuer
 * inherits nothing. 160 bits of SHA-256.
 */
export function subjectPrincipal(issuer: string, tenant: string | undefined, subject: string): Principal {
  const digest = hash('sha256', JSON.stringify([issuer, tenant ?? null, subject]), 'base64url')
  return `sub:${digest.slice(0, 27)}`
}

/** An agent, or an agent that acts for one person: that one's sessions are not the agent's own. Ids hold no `:`. */
export function agentPrincipal(agentId: string, actsFor?: Principal): Principal {
  return actsFor === undefined ? `agent:${agentId}` : `agent:${agentId}:${actsFor}`
}

export const workerPrincipal = (name: string): Principal => `worker:${name}`

/** Of a credential that stands for nobody but itself. */
export const temporaryPrincipal = (local: string): Principal => `tmp:${local}`
