import type { FormerPasswordMarks } from './former-password-marks.ts'

/** In one process, which forgets them when it ends. */
export class MemoryFormerPasswordMarks implements FormerPasswordMarks {
  readonly #marks = new Map<string, number>()

  async mark(organization: string, local: string, at: number): Promise<void> {
    this.#marks.set(`${local}@${organization}`, at)
  }

  async lastUse(organization: string, local: string): Promise<number | undefined> {
    return this.#marks.get(`${local}@${organization}`)
  }
}
