import { setTimeout as pause } from 'node:timers/promises'
import { barriersOf } from '#core/credentials/barrier.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { type ControlEntry, parseMoment } from '#core/stores/control-log.ts'
import type { CredentialRenewer } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { OrganizationPool } from '../organizations/organization-pool.ts'
import type { FoundSession } from '../persistence/session-mark.ts'
import type { SessionPersistence } from '../persistence/session-persistence.ts'

export interface SessionPurgeOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialRenewer
  readonly organizations: Pick<OrganizationPool, 'persistenceOf'>
  readonly log: Log
}

type Judge = (session: FoundSession) => Promise<boolean> | boolean

const retryMs = 1_000
const sessionsAtOnce = 200

/**
 * Ends stored sessions whose principal is gone, with their subscriptions and queues, whether or not anybody has a
 * connection. Every replica does it for every entry, and one is enough: what is judged are the records of now, and
 * only the opening that was judged is ended, not one that came after it.
 */
export class SessionPurge {
  readonly #options: SessionPurgeOptions
  #isClosed = false

  constructor(options: SessionPurgeOptions) {
    this.#options = options
  }

  /** Resolves once it is done, however long the store does not answer. Never rejects. */
  async entry({ type, organization, name }: ControlEntry): Promise<void> {
    const isGone: Judge = (session) => this.#isGone(organization, session)
    switch (type) {
      case 'user':
        return this.#purge(organization, `user:${name}/`, isGone)
      case 'credential':
        return this.#purge(organization, `tmp:${name}/`, isGone)
      case 'barrier':
        return this.#behindBarrier(organization, name, isGone)
      case 'principal':
        return this.#until(name, (at, principal) =>
          this.#purge(
            organization,
            `${principal}/`,
            ({ mark }) => mark !== undefined && Number(mark.uid) <= at,
          ),
        )
      case 'session':
        return this.#until(name, (at, id) =>
          this.#purge(organization, id, (found) => found.id === id && found.openedAt <= at),
        )
      default:
    }
  }

  /** Entries were missed: all sessions of all organizations are judged. */
  async all(): Promise<void> {
    const organizations = await this.#untilAnswered(() => this.#options.identities.organizations())
    for (const organization of organizations ?? []) {
      await this.#purge(organization, '', (session) => this.#isGone(organization, session))
    }
  }

  close(): void {
    this.#isClosed = true
  }

  async #until(moment: string, purge: (at: number, of: string) => Promise<void>): Promise<void> {
    const parsed = parseMoment(moment)
    if (parsed !== undefined) await purge(parsed.at, parsed.of)
  }

  async #behindBarrier(organization: OrganizationId, target: string, isGone: Judge): Promise<void> {
    const principal = /^principal:(.*)$/.exec(target)?.[1]
    if (principal === undefined) return this.#purge(organization, '', isGone)
    await this.#purge(organization, `${principal}/`, isGone)
    // Agents that act for the person.
    const isItsAgent = ({ id }: FoundSession): boolean => principalOf(id).endsWith(`:${principal}`)
    await this.#purge(organization, 'agent:', (found) => isItsAgent(found) && isGone(found))
  }

  /** By the records of now. While they are not all there, nobody is gone. */
  async #isGone(organization: OrganizationId, { id, mark }: FoundSession): Promise<boolean> {
    const { identities, credentials } = this.#options
    const principal = principalOf(id)
    const [kind, local] = [
      principal.slice(0, principal.indexOf(':')),
      principal.slice(principal.indexOf(':') + 1),
    ]
    if (kind === 'user') {
      const user = await identities.get('user', organization, local)
      // Of an organization that is gone users are too; what becomes of their sessions its tombstone says.
      if (user === undefined) {
        return (await identities.tombstoneOf(organization)) === undefined && identities.isReady()
      }
      return mark !== undefined && mark.uid !== user.uid
    }
    if (kind === 'tmp') return (await credentials.get(organization, local)) === undefined
    if (mark === undefined) return false
    return Number(mark.uid) <= (await credentials.barrierOf(organization, barriersOf({ principal, ...mark })))
  }

  async #purge(organization: OrganizationId, prefix: string, isGone: Judge): Promise<void> {
    await this.#untilAnswered(async () => {
      await purgeFrom(await this.#options.organizations.persistenceOf(organization), prefix, isGone)
    })
  }

  /** Undefined when it was closed before. */
  async #untilAnswered<T>(act: () => Promise<T>): Promise<T | undefined> {
    while (!this.#isClosed) {
      try {
        return await act()
      } catch (error) {
        this.#options.log.debug(errorFields(error), 'sessions could not be purged now')
        await pause(retryMs, undefined, { ref: false })
      }
    }
    return undefined
  }
}

async function purgeFrom(persistence: SessionPersistence, prefix: string, isGone: Judge): Promise<void> {
  let found: readonly FoundSession[] = []
  do {
    found = await persistence.findSessions(prefix, found.at(-1)?.id ?? '', sessionsAtOnce)
    await Promise.all(
      found.map(async (session) => {
        if (await isGone(session)) await persistence.endSession(session, session.epoch)
      }),
    )
  } while (found.length === sessionsAtOnce)
}

const principalOf = (id: string): Principal => id.slice(0, id.indexOf('/')) as Principal
