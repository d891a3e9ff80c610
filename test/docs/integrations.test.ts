import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { installedPackages } from '../fixtures/node-packages.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { IntegrationWorld } from './integration-world.ts'
import { blockOf, readPage } from './page-blocks.ts'

const packages = await installedPackages('integrations')

let world: IntegrationWorld
beforeEach(async () => {
  world = await IntegrationWorld.build()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await world.close()
})

test('every page of docs/integrations is followed by a test', async () => {
  const pages = await readdir(new URL('../../docs/integrations', import.meta.url))
  expect(pages.toSorted()).toEqual(['browser.md', 'client.md', 'express.md', 'nextjs.md'])
})

/** The backend of the examples says something to alice, as often as it takes. */
async function tellAlice(text: string): Promise<void> {
  const backend = await world.stage.connect(await world.stage.user('default/backend'), 'tls', 5)
  await backend.publish('users/alice/news', text)
  backend.close()
}

describe.skipIf(packages === undefined)('the page about Express, step by step:', () => {
  test('its server gives a credential, says what is wrong, and its client stays connected', async () => {
    const [page, client] = [
      await readPage('integrations/express.md'),
      await readPage('integrations/client.md'),
    ]
    await world.apply(blockOf(page.blocks, 'yaml'))
    const key = await world.key('web-backend')
    const port = String(await freePort())
    await world.install('express', packages)
    await world.install('mqtt')
    // Its credentials end with the identity token: renewals within seconds.
    await world.write([...page.blocks, ...client.blocks], (text) => text.replace("'demo'", "'short-lived'"))
    const fill = (text: string): string =>
      text
        .replaceAll('https://tokens.example.com', world.tokenService)
        .replaceAll('cs_sk_...', key)
        .replaceAll('localhost:3000', `127.0.0.1:${port}`)
    const start = fill(blockOf(page.blocks, 'start'))
    const server = world.run(start, { PORT: port })
    await server.says('listening on')

    const ask = async (token: string, to = port): Promise<Record<string, unknown>> => {
      const curl = fill(blockOf(page.blocks, 'sh')).replace(port, to)
      const asked = world.run(curl.replace('curl', 'curl -s'), { IDENTITY_TOKEN: token })
      await asked.ended
      return JSON.parse(asked.output()) as Record<string, unknown>
    }
    const { issuer } = world.stage
    const given = await ask(await issuer.tokenFor('alice'))
    expect(given).toMatchObject({
      username: expect.stringMatching(/^tmp_\w+@org_k7xm4pqr2n5t$/),
      user_id: 'alice',
    })
    expect(await ask('')).toEqual({ code: 'not_signed_in' })
    expect(await ask('eyJ.x.y')).toEqual({ code: 'unsupported_token_format' })
    expect(server.output()).not.toMatch(/cs_mp_|eyJ/)

    const without = world.run(start.replace(key, `${key}x`), { PORT: String(await freePort()) })
    await without.says('listening on')
    const other = /listening on (\d+)/.exec(without.output())?.[1] ?? ''
    expect(await ask(await issuer.tokenFor('alice'), other)).toEqual({ code: 'refused' })
    expect(without.output()).toContain('invalid_api_key')

    const script = `
      import { listen } from './app.mjs'
      const getToken = async () => {
        const body = new URLSearchParams({ grant_type: 'urn:cloudsignal:demo', client_id: 'demo', username: 'alice', life: '3' })
        const answer = await fetch('${issuer.issuer}/token', { method: 'POST', body })
        console.log('signed in')
        return (await answer.json()).id_token
      }
      await listen('http://127.0.0.1:${port}', 'alice', getToken, (topic, text) => console.log(topic, text))
      console.log('subscribed')`
    const app = world.run(`node --input-type=module -e "$SCRIPT"`, {
      SCRIPT: script,
      NODE_EXTRA_CA_CERTS: world.stage.standalone.certificates.caPath,
    })
    await app.says('subscribed')
    await tellAlice('one')
    await app.says('users/alice/news one')
    await vi.waitFor(() => expect(app.output().match(/signed in/g)?.length).toBeGreaterThan(1), 10_000)
    await tellAlice('two')
    await app.says('users/alice/news two')
  })
})

describe('the page about Next.js, step by step:', () => {
  test('its route handler gives a credential, and says what is wrong', async () => {
    const page = await readPage('integrations/nextjs.md')
    await world.apply(blockOf((await readPage('integrations/express.md')).blocks, 'yaml'))
    const settings = blockOf(page.blocks, '.env.local')
      .replace('https://tokens.example.com', world.tokenService)
      .replace('cs_sk_...', await world.key('web-backend'))
    for (const [, name = '', value = ''] of settings.matchAll(/^(\w+)=(.*)$/gm)) vi.stubEnv(name, value)
    await world.write(page.blocks)
    const file = pathToFileURL(join(world.directory, 'app/api/mqtt-credential/route.ts')).href
    const { POST } = (await import(/* @vite-ignore */ file)) as {
      POST: (request: Request) => Promise<Response>
    }
    const ask = async (token?: string): Promise<Response> =>
      POST(
        new Request('https://www.example.com/api/mqtt-credential', {
          method: 'POST',
          headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        }),
      )

    const given = await ask(await world.stage.issuer.tokenFor('alice'))
    expect([given.status, given.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const credential = (await given.json()) as { username: string; password: string }
    const client = await world.stage.connect(credential, 'wss', 5)
    expect(client.isClosed).toBe(false)

    for (const [token, code] of [
      [undefined, 'not_signed_in'],
      ['eyJ.x.y', 'unsupported_token_format'],
    ] as const) {
      const refused = await ask(token)
      expect([refused.status, await refused.json()]).toEqual([401, { code }])
    }
    const complaints = vi.spyOn(console, 'error').mockImplementation(() => {})
    vi.stubEnv('CLOUDSIGNAL_API_KEY', 'cs_sk_wrong')
    expect((await ask('eyJ.x.y')).status).toBe(500)
    expect(complaints).toHaveBeenCalledOnce()
    complaints.mockRestore()
    vi.stubEnv('CLOUDSIGNAL_URL', `http://127.0.0.1:${await freePort()}`)
    const down = await ask('eyJ.x.y')
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, '5'])
  })
})
