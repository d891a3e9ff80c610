import { randomUUID } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { parseJson } from '#core/json.ts'
import { DomainError } from '#core/errors.ts'

/**
 * What standalone must not forget between two starts: generated Secrets, uids, short ids, the certificate.
 *
 * The directory is made with mode 0700, its files with 0600. A file is written beside its place and renamed
 * over it, so that a crash leaves the old or the new one. One that can not be read is never overwritten: opening
 * rejects with `record-damaged`, which names the file and what to do.
 */
export class StateDirectory {
  readonly path: string
  // One write at a time: two of one file would be renamed in any order.
  #lastWrite: Promise<unknown> = Promise.resolve()

  private constructor(path: string) {
    this.path = path
  }

  static async open(path: string): Promise<StateDirectory> {
    const absolute = resolve(path)
    try {
      await mkdir(absolute, { recursive: true, mode: 0o700 })
      await chmod(absolute, 0o700)
    } catch (cause) {
      throw new DomainError(
        'invalid-settings',
        `the state directory ${absolute} can not be used: ${codeOf(cause)}; choose another with --state`,
        { cause },
      )
    }
    return new StateDirectory(absolute)
  }

  pathOf(file: string): string {
    return join(this.path, file)
  }

  /** Undefined when there is no such file. `remedy` says what becomes of a damaged one. */
  async readJson<S extends TSchema>(file: string, schema: S, remedy: string): Promise<Static<S> | undefined> {
    const text = await this.readText(file)
    if (text === undefined) return undefined
    const value = parseJson(text)
    if (!Check(schema, value)) throw this.damaged(file, remedy)
    return value
  }

  async writeJson(file: string, value: unknown): Promise<void> {
    await this.writeText(file, `${JSON.stringify(value, undefined, 2)}\n`)
  }

  async readText(file: string): Promise<string | undefined> {
    try {
      return await readFile(this.pathOf(file), 'utf8')
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined
      throw new DomainError(
        'record-damaged',
        `${this.pathOf(file)} can not be read: ${codeOf(cause)}; make it readable for this user`,
        { cause },
      )
    }
  }

  writeText(file: string, text: string): Promise<void> {
    const write = this.#lastWrite.then(() => replaceFile(this.pathOf(file), text))
    this.#lastWrite = write.catch(() => {})
    return write
  }

  damaged(file: string, remedy: string): DomainError {
    return new DomainError(
      'record-damaged',
      `${this.pathOf(file)} is damaged and was left as it is: ${remedy}`,
    )
  }
}

/** Others see the old file or the new one. The folder and the file are for nobody else. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const beside = `${path}.${randomUUID()}`
  const file = await open(beside, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
    await file.close()
    await rename(beside, path)
  } catch (error) {
    await file.close().catch(() => {})
    await rm(beside, { force: true })
    throw error
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
