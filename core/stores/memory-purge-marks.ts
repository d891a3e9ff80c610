import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { PurgeMark, PurgeMarks, PurgeState } from './purge-marks.ts'
import type { Tombstone } from './tombstone.ts'

/** The same contract in one process, which is the only broker. */
export class MemoryPurgeMarks implements PurgeMarks {
  readonly #marks = new Map<OrganizationId, PurgeMark>()

  async all(): Promise<ReadonlyMap<OrganizationId, PurgeMark>> {
    return new Map(this.#marks)
  }

  async of(organization: OrganizationId): Promise<PurgeMark | undefined> {
    return this.#marks.get(organization)
  }

  async hasBroker(): Promise<boolean> {
    return true
  }

  async mark({ organization, id }: Tombstone, state: PurgeState, at: number): Promise<void> {
    this.#marks.set(organization, { tombstone: id, state, at })
  }

  async forget(organization: OrganizationId, { tombstone }: PurgeMark): Promise<void> {
    if (this.#marks.get(organization)?.tombstone === tombstone) this.#marks.delete(organization)
  }

  async lease(): Promise<boolean> {
    return true
  }

  async release(): Promise<void> {}
}
