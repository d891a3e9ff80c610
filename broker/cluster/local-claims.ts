/** A connection that has an id, or is about to. */
export interface Claimant {
  readonly id: string
  /** Its id was taken by a later connection. */
  close(): void
}

interface Contested {
  /** Undefined while its claim is on its way. */
  readonly claimants: Map<Claimant, number | undefined>
  /** Highest epoch that was heard of. */
  latest: number
}

/**
 * Claims of this replica's connections on ids of one organization. However claims cross each other on their way
 * between replicas, the latest one stays and all others go: a connection is known here before its claim is made,
 * so that no later one goes by unheard.
 */
export class LocalClaims {
  readonly #byId = new Map<string, Contested>()

  /** Call it before the claim is made. */
  expect(claimant: Claimant): void {
    const contested = this.#byId.get(claimant.id) ?? { claimants: new Map(), latest: 0 }
    this.#byId.set(claimant.id, contested)
    contested.claimants.set(claimant, undefined)
  }

  /** The claim was made. False when a later one is known already; then the claimant was told. */
  granted(claimant: Claimant, epoch: number): boolean {
    const contested = this.#byId.get(claimant.id)
    if (contested?.claimants.has(claimant) !== true) return false
    contested.claimants.set(claimant, epoch)
    this.announced(claimant.id, epoch)
    return contested.latest === epoch
  }

  /** Somebody, here or elsewhere, has made this claim. */
  announced(id: string, epoch: number): void {
    const contested = this.#byId.get(id)
    if (contested === undefined) return
    contested.latest = Math.max(contested.latest, epoch)
    for (const [claimant, claimed] of contested.claimants) {
      if (claimed !== undefined && claimed < contested.latest) claimant.close()
    }
  }

  remove(claimant: Claimant): void {
    const contested = this.#byId.get(claimant.id)
    if (contested?.claimants.delete(claimant) === true && contested.claimants.size === 0) {
      this.#byId.delete(claimant.id)
    }
  }
}
