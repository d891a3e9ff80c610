import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Chromium, missingForChromium, startChromium } from '../fixtures/chromium.ts'
import { eventually } from '../fixtures/eventually.ts'
import { installedPackages } from '../fixtures/node-packages.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { IntegrationWorld } from './integration-world.ts'
import { blockOf, readPage } from './page-blocks.ts'

const packages = await installedPackages('nextjs')
const isMissing = packages === undefined || (await missingForChromium()) !== undefined

/** The application around the page's parts: somebody who has signed in with the demo issuer. */
const application = (issuer: string): Readonly<Record<string, string>> => ({
  'next.config.mjs': `export default { turbopack: { root: ${JSON.stringify(packages)} }, devIndicators: false }`,
  'app/icon.svg': '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>',
  'app/layout.tsx': `export default function Layout({ children }: { children: React.ReactNode }) {
  return <html lang="en"><body>{children}</body></html>
}`,
  'app/page.tsx': `import { SignedIn } from './signed-in'
export const dynamic = 'force-dynamic'
export default async function Page() {
  const form = { grant_type: 'urn:cloudsignal:demo', client_id: 'demo', username: 'alice' }
  const answer = await fetch('${issuer}/token', { method: 'POST', body: new URLSearchParams(form) })
  return <SignedIn token={(await answer.json()).id_token} />
}`,
  'app/signed-in.tsx': `'use client'
import { useCallback } from 'react'
import { Inbox } from './inbox'
export function SignedIn({ token }: { token: string }) {
  return <Inbox userId="alice" getToken={useCallback(async () => token, [token])} />
}`,
})

describe.skipIf(isMissing)('the page about Next.js, in Next.js', () => {
  let world: IntegrationWorld
  let chromium: Chromium
  beforeAll(async () => {
    world = await IntegrationWorld.build(packages)
    chromium = await startChromium()
  })
  afterAll(async () => {
    await chromium.close()
    await world.close()
  })

  test(
    'shows whoever has signed in what is sent to them, and to nobody else anything',
    { timeout: 90_000 },
    async () => {
      const [page, client] = [
        await readPage('integrations/nextjs.md'),
        await readPage('integrations/client.md'),
      ]
      await world.apply(blockOf((await readPage('integrations/express.md')).blocks, 'yaml'))
      const settings = blockOf(page.blocks, '.env.local')
        .replace('https://tokens.example.com', world.tokenService)
        .replace('cs_sk_...', await world.key('web-backend'))
      expect(await world.write(page.blocks)).toBe(2)
      await world.write(client.blocks.map((block) => ({ ...block, name: `app/${block.name}` })))
      for (const [name, text] of Object.entries(application(world.stage.issuer.issuer))) {
        await writeFile(join(world.directory, name), text)
      }
      await writeFile(join(world.directory, '.env.local'), settings)
      const port = await freePort()
      const next = join(packages ?? '', 'node_modules/next/dist/bin/next')
      const server = world.run(`exec node ${next} dev -H 127.0.0.1 -p ${port}`, {
        NEXT_TELEMETRY_DISABLED: '1',
      })
      await server.says('Ready')

      const url = `http://localhost:${port}`
      const opened = await chromium.open(url)
      const backend = await world.stage.connect(await world.stage.user('default/backend'), 'tls', 5)
      const seen = eventually(
        'the message',
        async () => (await opened.textOf('#inbox')).includes('good morning'),
        30_000,
      ).catch(async (error: Error) => {
        const shown = (await opened.textOf('body')).slice(0, 2_000)
        throw new Error(`${error.message}\n${opened.problems.join('\n')}\n${shown}\n${server.output()}`)
      })
      const speaking = setInterval(() => void backend.publish('users/alice/news', 'good morning'), 500)
      await seen.finally(() => clearInterval(speaking))
      expect(opened.problems).toEqual([])

      const refused = await fetch(`${url}/api/mqtt-credential`, { method: 'POST' })
      expect([refused.status, await refused.json()]).toEqual([401, { code: 'not_signed_in' }])
    },
  )
})
