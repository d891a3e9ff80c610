import type { ApiKeyUses } from './api-key-uses.ts'

/** In one process, which forgets them when it ends. */
export class MemoryApiKeyUses implements ApiKeyUses {
  readonly #uses = new Map<string, number>()

  async note(organization: string, uid: string, at: number): Promise<void> {
    this.#uses.set(`${organization}/${uid}`, at)
  }

  async lastUse(organization: string, uid: string): Promise<number | undefined> {
    return this.#uses.get(`${organization}/${uid}`)
  }
}
