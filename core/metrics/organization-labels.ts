/** As many organizations as have a label of their own where nothing else is said. */
export const defaultMostOrganizations = 200

/** Keeps the labels of organizations few: after the first ones that were seen, all are `other`. */
export class OrganizationLabels {
  readonly #most: number
  readonly #own = new Set<string>()

  constructor(most = defaultMostOrganizations) {
    this.#most = most
  }

  of(organization: string): string {
    if (this.#own.has(organization)) return organization
    if (this.#own.size >= this.#most) return 'other'
    this.#own.add(organization)
    return organization
  }
}
