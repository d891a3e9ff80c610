import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Admission } from '../admission/admission.ts'

/** The record that a connection depends on, as far as it is known before anything was read. */
export interface ConnectionSource {
  readonly organization: OrganizationId
  readonly type: Admission['source']['type']
  readonly name: string
}

/** Connections of this replica by what they depend on, so that a change finds them. */
export class LiveConnections<Connection> {
  readonly #byOrganization = new Map<OrganizationId, Map<string, Set<Connection>>>()

  add({ organization, type, name }: ConnectionSource, connection: Connection): void {
    const bySource = this.#byOrganization.get(organization) ?? new Map<string, Set<Connection>>()
    this.#byOrganization.set(organization, bySource)
    const connections = bySource.get(`${type}/${name}`) ?? new Set<Connection>()
    bySource.set(`${type}/${name}`, connections)
    connections.add(connection)
  }

  remove({ organization, type, name }: ConnectionSource, connection: Connection): void {
    const bySource = this.#byOrganization.get(organization)
    const connections = bySource?.get(`${type}/${name}`)
    if (bySource === undefined || connections?.delete(connection) !== true) return
    if (connections.size === 0) bySource.delete(`${type}/${name}`)
    if (bySource.size === 0) this.#byOrganization.delete(organization)
  }

  ofSource({ organization, type, name }: ConnectionSource): Connection[] {
    return [...(this.#byOrganization.get(organization)?.get(`${type}/${name}`) ?? [])]
  }

  ofOrganization(organization: OrganizationId): Connection[] {
    const bySource = this.#byOrganization.get(organization)
    return bySource === undefined ? [] : [...bySource.values()].flatMap((connections) => [...connections])
  }

  /** How many each organization has. */
  *counts(): Generator<readonly [OrganizationId, number]> {
    for (const [organization, bySource] of this.#byOrganization) {
      let count = 0
      for (const connections of bySource.values()) count += connections.size
      yield [organization, count]
    }
  }

  all(): Connection[] {
    return [...this.#byOrganization.keys()].flatMap((organization) => this.ofOrganization(organization))
  }
}
