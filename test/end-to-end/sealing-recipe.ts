import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parseSealingKeys } from '#core/sealing/sealing-keys.ts'
import { blockOf, readPage } from '../docs/page-blocks.ts'
import { shell } from '../docs/shell.ts'
import { eventually } from '../fixtures/eventually.ts'
import { findClientTools } from '../fixtures/kubernetes-tools.ts'
import type { OperatorCluster } from '../fixtures/operator-cluster.ts'
import type { GuardedRedis } from '../fixtures/redis-users.ts'
import { aSealingKeyText, sealingKeysOf } from '../fixtures/sealing.ts'

type Program = 'operator' | 'token-service'

/** The file that each program has its sealing keys in; here the test is what kubelet is in a cluster. */
export class SealingFiles {
  readonly directory: string
  readonly first = aSealingKeyText()

  constructor(directory: string) {
    this.directory = directory
  }

  pathOf(program: Program): string {
    return join(this.directory, `sealing-keys-of-${program}`)
  }

  async write(program: Program, text: string): Promise<void> {
    await writeFile(this.pathOf(program), text)
  }
}

export interface RecipeParts {
  readonly cluster: OperatorCluster<GuardedRedis>
  readonly files: SealingFiles
  output(program: Program): string
  /** The secret of the provider as it is sealed in Redis now. */
  sealed(): Promise<string>
  /** Status of an exchange that needs it. */
  exchange(): Promise<number>
}

/** docs/sealing.md step by step, by the commands that stand there; after each of them people sign in as before. */
export async function followSealingRecipe({
  cluster,
  files,
  output,
  sealed,
  exchange,
}: RecipeParts): Promise<void> {
  const { plane } = cluster
  const { kubectl } = await findClientTools()
  const { blocks } = await readPage('sealing.md')
  const run = (script: string): Promise<string> =>
    shell(`kubectl() { "$KUBECTL" "$@"; }\n${script}`, {
      KUBECTL: kubectl,
      // kubectl keeps a cache there.
      HOME: files.directory,
      KUBECONFIG: plane.kubeconfigPath,
    })
  const secret = ['secret', 'cloudsignal-sealing', '--namespace=cloudsignal']
  await plane.kubectl(['create', 'namespace', 'cloudsignal'])
  const first = `--from-literal=keys=${files.first}`
  await plane.kubectl(['create', 'secret', 'generic', ...secret.slice(1), first])
  const deliver = async (...programs: readonly Program[]): Promise<string> => {
    const { stdout } = await plane.kubectl(['get', ...secret, '-o', 'jsonpath={.data.keys}'])
    const text = Buffer.from(stdout, 'base64').toString()
    expect(parseSealingKeys(text)).toBeDefined()
    for (const program of programs) {
      const before = timesRead(program)
      await files.write(program, text)
      await eventually(`the ${program} has read it`, () => timesRead(program) > before)
    }
    return text
  }
  const timesRead = (program: Program): number =>
    output(program).split('other sealing keys are in use').length
  const isSealedBy = async (key: string): Promise<boolean> => sealingKeysOf(key).isCurrent(await sealed())

  expect([await isSealedBy(files.first), await exchange()]).toEqual([true, 200])

  const steps = ['add', 'turn', 'remove'].map((name) => blockOf(blocks, name))
  await run(String(steps[0]))
  const [, second = ''] = (await deliver('operator', 'token-service')).trim().split('\n')
  expect(second).not.toBe('')
  expect(await exchange()).toBe(200)
  expect(await isSealedBy(files.first)).toBe(true)

  const set = `OLD='${files.first}'\nNEW='${second}'\n`
  await run(`${set}${steps[1]}`)
  await deliver('operator')
  await eventually('it is sealed anew', () => isSealedBy(second))
  // The token service has the former order of the file, and both keys.
  expect(await exchange()).toBe(200)
  await deliver('token-service')

  await run(`${set}${steps[2]}`)
  expect((await deliver('operator', 'token-service')).trim()).toBe(second)
  expect(await exchange()).toBe(200)

  await run(blockOf(blocks, 'replace'))
  const third = (await deliver('operator')).trim()
  await eventually('it is sealed anew', () => isSealedBy(third))
  await eventually('that can not be read here', async () => (await exchange()) === 503)
  await deliver('token-service')
  expect(await exchange()).toBe(200)
}
