import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { findClientTools } from '../fixtures/kubernetes-tools.ts'
import type { PageBlock } from './page-blocks.ts'

/** A directory as somebody has it who follows a page in a checkout: the files that it shows, and ours. */
export interface GuideShell {
  readonly directory: string
  /** What a script prints, with what it complains of; rejects with both when it ends with anything but 0. */
  run(script: string): Promise<string>
  remove(): Promise<void>
}

const ours = ['charts', 'examples', 'crds', 'docs']

/** `kubeconfigPath` is what kubectl and helm of the scripts use. */
export async function openGuideShell(
  blocks: readonly PageBlock[],
  kubeconfigPath: string,
): Promise<GuideShell> {
  const directory = await mkdtemp(join(tmpdir(), 'cloudsignal-guide-'))
  await Promise.all(ours.map((name) => symlink(resolve(name), join(directory, name))))
  for (const { language, name, text } of blocks)
    if (language === 'yaml' && name !== '') await writeFile(join(directory, name), text)
  const bin = join(directory, 'bin')
  await mkdir(bin)
  const tools = await findClientTools()
  await symlink(tools.kubectl, join(bin, 'kubectl'))
  await symlink(tools.helm, join(bin, 'helm'))
  const env = { PATH: `${bin}:${process.env['PATH']}`, HOME: directory, KUBECONFIG: kubeconfigPath }
  return {
    directory,
    run: (script) =>
      new Promise((done, fail) => {
        const options = { cwd: directory, env, maxBuffer: 16 * 1024 * 1024 }
        execFile('sh', ['-euc', script], options, (error, stdout, stderr) => {
          if (error === null) done(`${stdout}${stderr}`)
          else fail(new Error(`${script}\n${stdout}${stderr}`, { cause: error }))
        })
      }),
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}
