import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
import { Type } from 'typebox'
import type { Clock } from '#core/clock.ts'
import { DomainError, describeProblem } from '#core/errors.ts'
import type { AnyResource, ResourceKindName } from '#core/resources/index.ts'
import type { StoredSecret } from '../operator/reconcilers/host.ts'
import { type CatalogChange, type CatalogObject, ManifestCatalog } from './manifest-catalog.ts'
import {
  describePlace,
  longestFile,
  type ManifestFile,
  type ManifestProblem,
  readManifestText,
  unreadable,
} from './manifest-file.ts'
import { codeOf, replaceFile, type StateDirectory } from './state-directory.ts'

export interface ManifestDirectoryOptions {
  readonly path: string
  readonly state: StateDirectory
  readonly now: Clock
  /** Tells people, a line at a time. */
  readonly say: (line: string) => void
}

/** All files are read again so long after the last change. chokidar keeps back changes of a file within 50 ms of one it told. */
const quietMs = 120
const stateFile = 'objects.json'
const stateSchema = Type.Object({
  objects: Type.Array(
    Type.Object({
      file: Type.String(),
      object: Type.Object({
        kind: Type.String(),
        metadata: Type.Object({ name: Type.String(), namespace: Type.String(), uid: Type.String() }),
        spec: Type.Object({}),
      }),
      pinnedShortId: Type.Optional(Type.String()),
    }),
  ),
})
const stateRemedy = 'restore it, or delete it: every object then counts as new, and gets new passwords'

/**
 * The manifests of a directory and all below it, as objects with uid, generation and time of creation, which
 * survive a restart. Files are *.yaml, *.yml and *.json; names that begin with a dot are left out.
 *
 * What is malformed is said with file, document, line, field, value and remedy, once; the object stays as it last
 * was and everything else goes on. What vanishes is deleted.
 */
export class ManifestDirectory {
  readonly path: string
  readonly #options: ManifestDirectoryOptions
  readonly #catalog: ManifestCatalog
  readonly #listeners = new Set<(changes: readonly CatalogChange[]) => void>()
  #said = new Set<string>()
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #last: Promise<void> = Promise.resolve()

  private constructor(options: ManifestDirectoryOptions, remembered: readonly CatalogObject[]) {
    this.path = resolve(options.path)
    this.#options = options
    this.#catalog = new ManifestCatalog(remembered, options.now)
  }

  /** Reads everything once and begins to watch. Rejects when there is no such directory. */
  static async open(options: ManifestDirectoryOptions): Promise<ManifestDirectory> {
    const path = resolve(options.path)
    const found = await stat(path).catch(() => undefined)
    if (found?.isDirectory() !== true) {
      throw new DomainError(
        'invalid-settings',
        `${path} is no directory; say with --manifests where yours is`,
      )
    }
    const remembered = await options.state.readJson(stateFile, stateSchema, stateRemedy)
    const directory = new ManifestDirectory(options, (remembered?.objects ?? []) as CatalogObject[])
    await directory.#read()
    await directory.#watch()
    return directory
  }

  objects(): readonly AnyResource[] {
    return this.#catalog.objects().map(({ object }) => object)
  }

  secret(namespace: string, name: string): StoredSecret | undefined {
    return this.#catalog.secret(namespace, name)
  }

  /** Told once a change is in the state directory. */
  onChange(listener: (changes: readonly CatalogChange[]) => void): void {
    this.#listeners.add(listener)
  }

  async pinShortId(namespace: string, name: string, shortId: string): Promise<void> {
    await this.#inTurn(async () => {
      const change = this.#catalog.pinShortId(namespace, name, shortId)
      if (change !== undefined) await this.#publish([change])
    })
  }

  /**
   * Writes a manifest, or removes it where there is no text, and takes over what the directory then holds. `check` is
   * called in turn with all other changes, and may reject.
   */
  async write(file: string, text: string | undefined, check: () => void): Promise<void> {
    await this.#inTurn(async () => {
      check()
      const path = join(this.path, file)
      if (text === undefined) await rm(path, { force: true })
      else await replaceFile(path, text)
      await this.#takeOver()
    })
  }

  /** The file that an object comes from. */
  fileOf(kind: ResourceKindName, namespace: string, name: string): string | undefined {
    const isIt = ({ object: { kind: other, metadata } }: CatalogObject): boolean =>
      other === kind && metadata.namespace === namespace && metadata.name === name
    return this.#catalog.objects().find(isIt)?.file
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#watcher?.close()
    await this.#last
  }

  #read(): Promise<void> {
    return this.#inTurn(() => this.#takeOver())
  }

  async #takeOver(): Promise<void> {
    const { changes, problems } = this.#catalog.update(await readFiles(this.path))
    this.#report(problems)
    if (changes.length > 0) await this.#publish(changes)
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  async #publish(changes: readonly CatalogChange[]): Promise<void> {
    await this.#options.state.writeJson(stateFile, { objects: this.#catalog.objects() })
    for (const listener of this.#listeners) listener(changes)
  }

  async #watch(): Promise<void> {
    const watcher = watch(this.path, {
      ignoreInitial: true,
      ignored: (path) => path !== this.path && isLeftOut(relative(this.path, path)),
    })
    this.#watcher = watcher
    watcher.on('all', () => this.#readSoon())
    watcher.on('error', (error) => this.#options.say(`${this.path} can not be watched: ${codeOf(error)}`))
    await new Promise<void>((ready) => watcher.once('ready', ready))
    // What changed between the first reading and here.
    this.#readSoon()
  }

  #readSoon(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#read().catch((error: unknown) =>
        this.#options.say(`the manifests could not be taken over: ${String(error)}`),
      )
    }, quietMs)
  }

  /** Says what is new among the problems, and when none is left. */
  #report(problems: readonly ManifestProblem[]): void {
    const lines = problems.map((problem) => this.#describe(problem))
    for (const line of lines) if (!this.#said.has(line)) this.#options.say(line)
    if (lines.length === 0 && this.#said.size > 0) this.#options.say('every manifest is right again')
    this.#said = new Set(lines)
  }

  #describe({ place, problem, about }: ManifestProblem): string {
    const [kind = '', name = ''] = about?.split(' ') ?? []
    const isThere = this.objects().some(
      ({ kind: other, metadata }) => other === kind && `${metadata.namespace}/${metadata.name}` === name,
    )
    const subject = about === undefined ? '' : `${about} `
    const outcome = isThere ? ' (its last good version stays in use)' : ''
    const file = relative(process.cwd(), join(this.path, place.file))
    return `${describePlace({ ...place, file })}: ${subject}${describeProblem(problem)}${outcome}`
  }
}

async function readFiles(directory: string): Promise<readonly ManifestFile[]> {
  let names: readonly string[]
  try {
    names = await readdir(directory, { recursive: true })
  } catch (error) {
    // Every file that there was counts as unreadable, so that nothing is taken for deleted.
    throw new Error(`${directory} can not be read: ${codeOf(error)}`, { cause: error })
  }
  const wanted = names.filter((name) => /\.(ya?ml|json)$/i.test(name) && !isLeftOut(name)).toSorted()
  const files: ManifestFile[] = []
  for (const name of wanted) {
    const file = await readOne(directory, name)
    if (file !== undefined) files.push(file)
  }
  return files
}

async function readOne(directory: string, name: string): Promise<ManifestFile | undefined> {
  const path = join(directory, name)
  try {
    const found = await stat(path)
    if (!found.isFile()) return undefined
    if (found.size > longestFile) return unreadable(name, `make it smaller than ${longestFile} bytes`)
    return readManifestText(name, await readFile(path, 'utf8'))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    return unreadable(name, `make it readable: ${codeOf(error)}`)
  }
}

const isLeftOut = (name: string): boolean =>
  name.split(sep).some((part) => part === 'node_modules' || part.startsWith('.'))
