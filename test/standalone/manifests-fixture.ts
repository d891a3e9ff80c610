import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { GeneratedSecrets } from '../../standalone/generated-secrets.ts'
import { ManifestDirectory } from '../../standalone/manifest-directory.ts'
import { StandaloneHost } from '../../standalone/standalone-host.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A manifest directory with its state and host; `open` again is a restart. */
export interface Manifests {
  readonly directory: string
  readonly said: string[]
  write(file: string, text: string): Promise<void>
  open(): Promise<{ manifests: ManifestDirectory; host: StandaloneHost; state: StateDirectory }>
}

export async function someManifests(files: Readonly<Record<string, string>>): Promise<Manifests> {
  const root = await temporaryDirectory()
  const directory = join(root, 'manifests')
  const said: string[] = []
  const say = (line: string): void => void said.push(line)
  await mkdir(directory)
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(directory, file)), { recursive: true })
    await writeFile(join(directory, file), text)
  }
  for (const [file, text] of Object.entries(files)) await write(file, text)
  return {
    directory,
    said,
    write,
    open: async () => {
      const state = await StateDirectory.open(join(root, 'state'))
      const manifests = await ManifestDirectory.open({
        path: directory,
        state,
        now: Date.now,
        say,
      })
      onTestFinished(() => manifests.close())
      const host = await StandaloneHost.open({ manifests, secrets: await GeneratedSecrets.open(state), say })
      return { manifests, host, state }
    },
  }
}

export const anOrganization = (name: string, spec = ''): string =>
  `apiVersion: cloudsignal.app/v1alpha1\nkind: Organization\nmetadata: { name: ${name} }\nspec: { ${spec} }\n`

export const aUser = (name: string, spec = ''): string =>
  `apiVersion: cloudsignal.app/v1alpha1\nkind: MqttUser\nmetadata: { name: ${name} }\nspec:\n  organizationRef: { name: acme }\n${spec}`

/** Documents of one file. */
export const documents = (...texts: readonly string[]): string => texts.join('---\n')
