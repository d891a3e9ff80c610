import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../fixtures/eventually.ts'
import { type Chromium, missingForChromium, startChromium } from '../fixtures/chromium.ts'
import { type Served, servePages } from '../fixtures/served-pages.ts'
import { IntegrationWorld } from './integration-world.ts'
import { blockOf, readPage } from './page-blocks.ts'

const missing = await missingForChromium()
if (missing !== undefined) console.warn(`PAGES ARE NOT LOOKED AT: ${missing}`)

describe.skipIf(missing !== undefined)('in Chromium', () => {
  let world: IntegrationWorld
  let chromium: Chromium
  beforeAll(async () => {
    world = await IntegrationWorld.build()
    chromium = await startChromium()
  })
  afterAll(async () => {
    await chromium.close()
    await world.close()
  })

  test('the page of the token service’s API shows every operation, and nothing is wrong with it', async () => {
    const answer = await fetch(`${world.tokenService}/openapi.json`)
    const { info, paths } = (await answer.json()) as { info: { title: string }; paths: object }
    const page = await chromium.open(`${world.tokenService}/docs`)
    expect(await page.title()).toBe(info.title)
    const text = await page.textOf('body')
    for (const path of Object.keys(paths)) expect(text).toContain(path)
    // Its style was applied, which its policy might forbid.
    expect(await page.styleOf('table', 'borderCollapse')).toBe('collapse')
    // And it fits on a phone.
    expect(await page.widthIn(390)).toBe(390)
    expect(page.problems).toEqual([])
  })

  test('a page that breaks its own policy is noticed', async () => {
    const server = await servePages(() => ({
      type: 'text/html',
      body: '<style>p { color: red }</style><p>x',
      policy: "default-src 'none'",
    }))
    const page = await chromium.open(server.url)
    await eventually('a problem', () =>
      page.problems.some((each) => each.includes('Content Security Policy')),
    )
    await server.close()
  })

  test('the page without login, followed step by step, shows what is announced', async () => {
    const [page, client] = [
      await readPage('integrations/browser.md'),
      await readPage('integrations/client.md'),
    ]
    const server = await servePages(fileOf(join(world.directory, 'public')))
    const elsewhere = await servePages(fileOf(join(world.directory, 'public')))
    const here = (text: string): string => text.replaceAll('https://www.example.com', server.url)
    await world.apply(here(blockOf(page.blocks, 'yaml')))
    const key = await world.key('website')
    const fill = (text: string): string =>
      text.replaceAll('https://tokens.example.com', world.tokenService).replaceAll('cs_pk_...', key)
    await world.write(page.blocks, fill)
    await world.write(client.blocks.map((block) => ({ ...block, name: `public/${block.name}` })))
    await world.install('mqtt')
    const [install, copy] = blockOf(page.blocks, 'install').split('\n')
    expect(install).toBe('npm install mqtt')
    expect(await world.run(copy ?? '').ended).toBe(0)

    const opened = await chromium.open(`${server.url}/index.html`)
    await eventually('it is connected', async () => (await opened.textOf('#state')) === 'connected').catch(
      (error: Error) => {
        throw new Error(`${error.message}\n${opened.problems.join('\n')}`)
      },
    )
    const backend = await world.stage.connect(await world.stage.user('default/backend'), 'tls', 5)
    await backend.publish('announcements/today', 'the doors are open')
    expect(await opened.textOf('#announcements li')).toBe('the doors are open')
    await backend.publish('announcements/today', '<b>as text</b>')
    await eventually('the second', async () =>
      (await opened.textOf('#announcements li:nth-child(2)')).includes('<b>as text</b>'),
    )
    expect(opened.problems).toEqual([])

    // From an origin that is none of the key's.
    const foreign = await chromium.open(`${elsewhere.url}/index.html`)
    await eventually('a refusal', () => foreign.problems.some((each) => each.includes('CORS')))
    expect(await foreign.textOf('#state')).toBe('connecting')
    await server.close()
    await elsewhere.close()
  })
})

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
}

const fileOf =
  (directory: string) =>
  async (path: string): Promise<Served | undefined> => {
    const type = types[extname(path)]
    return type === undefined ? undefined : { type, body: await readFile(join(directory, path)) }
  }
