/** A connection that has an id, or is about to. */
export interface Claimant {
  readonly id: string
  /** Its id was taken by a later connection. */
  close(): void
}

interface Contested {
  readonly claims: { readonly claimant: Claimant; epoch: number | undefined }[]
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
    const contested = this.#byId.get(claimant.id)
    const claim = { claimant, epoch: undefined }
    if (contested === undefined) this.#byId.set(claimant.id, { claims: [claim], latest: 0 })
    else contested.claims.push(claim)
  }

  /** The claim was made. False when a later one is known already; then the claimant was told. */
  granted(claimant: Claimant, epoch: number): boolean {
    const contested = this.#byId.get(claimant.id)
    const claim = contested?.claims.find((one) => one.claimant === claimant)
    if (contested === undefined || claim === undefined) return false
    claim.epoch = epoch
    this.announced(claimant.id, epoch)
    return contested.latest === epoch
  }

  /** Somebody, here or elsewhere, has made this claim. */
  announced(id: string, epoch: number): void {
    const contested = this.#byId.get(id)
    if (contested === undefined) return
    contested.latest = Math.max(contested.latest, epoch)
    const { claims, latest } = contested
    const older = claims.filter((one) => one.epoch !== undefined && one.epoch < latest)
    for (const { claimant } of older) claimant.close()
  }

  remove(claimant: Claimant): void {
    const claims = this.#byId.get(claimant.id)?.claims
    const index = claims?.findIndex((one) => one.claimant === claimant) ?? -1
    if (claims === undefined || index < 0) return
    claims.splice(index, 1)
    if (claims.length === 0) this.#byId.delete(claimant.id)
  }
}
