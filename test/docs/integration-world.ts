import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments, stringify } from 'yaml'
import { Stage } from '../../standalone/demo/stage.ts'
import { sampleKeys } from '../../standalone/samples.ts'
import { eventually } from '../fixtures/eventually.ts'
import type { PageBlock } from './page-blocks.ts'

/** A standalone on the examples, a directory where somebody follows a page, and what runs in it. */
export class IntegrationWorld {
  readonly stage: Stage
  readonly directory: string
  readonly #ends: (() => void)[] = []

  private constructor(stage: Stage, directory: string) {
    this.stage = stage
    this.directory = directory
  }

  /** The directory lies in `parent`, whose `node_modules` are then found. */
  static async build(parent: string = tmpdir()): Promise<IntegrationWorld> {
    const directory = await mkdtemp(join(parent, 'cloudsignal-integration-'))
    return new IntegrationWorld(await Stage.set(), directory)
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end()
    await this.stage.strike()
    await rm(this.directory, { recursive: true, force: true })
  }

  get tokenService(): string {
    return `http://127.0.0.1:${this.stage.standalone.ports.http}`
  }

  /** Applies the manifests of a page; what the examples have under the same name is replaced. */
  async apply(manifests: string): Promise<void> {
    for (const [index, document] of parseAllDocuments(manifests).entries()) {
      const resource = document.toJS() as { readonly kind: string }
      const file = resource.kind === 'Organization' ? '1-organization.yaml' : `page-${index}.yaml`
      await this.stage.edit(file, () => stringify(resource))
    }
  }

  /** The value of an ApiKey, once it has one. */
  key(name: string): Promise<string> {
    return eventually(`the key ${name}`, async () => {
      const keys = await sampleKeys(this.stage.standalone.host)
      return keys.find(({ resource }) => resource.metadata.name === name)?.secret
    })
  }

  /** What the page has as `npm install` of a package, from where it is installed already. */
  async install(
    name: string,
    from: string = fileURLToPath(new URL('../..', import.meta.url)),
  ): Promise<void> {
    await mkdir(join(this.directory, 'node_modules'), { recursive: true })
    await symlink(join(from, 'node_modules', name), join(this.directory, 'node_modules', name))
  }

  /** Every block that is a file, with values filled in. Resolves with how many there were. */
  async write(
    blocks: readonly PageBlock[],
    fill: (text: string) => string = (text) => text,
  ): Promise<number> {
    const files = blocks.filter(({ name }) => /\.(m?js|tsx?|html)$/.test(name))
    for (const { name, text } of files) {
      const path = join(this.directory, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, fill(text))
    }
    return files.length
  }

  /** A shell in the directory; it goes with the world. */
  run(script: string, environment: Readonly<Record<string, string>> = {}): Running {
    const child = spawn('bash', ['-c', `set -e\n${script}`], {
      cwd: this.directory,
      env: { PATH: process.env['PATH'], ...environment },
      // With what it starts, so that it ends with it.
      detached: true,
      // Bash takes a socket as stdin for a remote shell, and reads the profile of whoever runs it.
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    }
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    const { pid } = child
    let hasEnded = false
    void ended.then(() => (hasEnded = true))
    this.#ends.push(() => {
      if (!hasEnded && pid !== undefined) process.kill(-pid, 'SIGKILL')
    })
    return {
      output: () => output,
      ended,
      says: (text) =>
        eventually(`it says ${text}`, () => output.includes(text), 15_000).then(
          () => undefined,
          (error: Error) => {
            throw new Error(`${error.message}; it wrote:\n${output}`)
          },
        ),
    }
  }
}

interface Running {
  output(): string
  says(text: string): Promise<void>
  readonly ended: Promise<number | null>
}
