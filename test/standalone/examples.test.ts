import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { ManifestDirectory } from '../../standalone/manifest-directory.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { temporaryDirectory } from './temporary-directory.ts'

it('the examples hold two organizations and nothing malformed', async () => {
  const said: string[] = []
  const manifests = await ManifestDirectory.open({
    path: fileURLToPath(new URL('../../examples', import.meta.url)),
    state: await StateDirectory.open(await temporaryDirectory()),
    now: Date.now,
    say: (line) => void said.push(line),
  })
  onTestFinished(() => manifests.close())
  const counts: Record<string, number> = {}
  for (const { kind } of manifests.objects()) counts[kind] = (counts[kind] ?? 0) + 1
  expect(said).toEqual([])
  expect(counts).toEqual({ Organization: 2, AccessList: 4, IdentityProvider: 1, ApiKey: 2, MqttUser: 3 })
})
