import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Marks } from './marks.ts'

/** The same contract in one process. What has ended is dropped at each change. */
export class MemoryMarks implements Marks {
  readonly #until = new Map<string, number>()
  readonly #now: Clock

  constructor(now: Clock) {
    this.#now = now
  }

  async put(organization: OrganizationId, name: string, seconds: number): Promise<void> {
    const now = this.#now()
    for (const [key, until] of this.#until) if (until <= now) this.#until.delete(key)
    this.#until.set(`${organization}/${name}`, now + seconds * 1_000)
  }

  async has(organization: OrganizationId, name: string): Promise<boolean> {
    return (this.#until.get(`${organization}/${name}`) ?? -Infinity) > this.#now()
  }
}
