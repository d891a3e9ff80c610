import { spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { readGuide, type Statement } from './guide.ts'
import { PatternWorld } from './pattern-world.ts'

const guide = readGuide('docs/access-lists.md')

describe.each(guide.patterns)('$title', (pattern) => {
  let world: PatternWorld
  const clients = new Map<string, Promise<{ client: TestClient; identity: object }>>()

  beforeAll(async () => {
    world = await PatternWorld.start(guide.base, pattern)
  })
  afterAll(async () => {
    for (const { client } of await Promise.all(clients.values())) await client.end()
    await world.close()
  })

  /** One connection for each of whom the guide speaks. */
  function connected(
    who: string,
    claims: Statement['claims'] = {},
  ): Promise<{ client: TestClient; identity: object }> {
    const key = JSON.stringify([who, claims])
    const found = clients.get(key) ?? connect(who, claims)
    clients.set(key, found)
    return found
  }

  async function connect(who: string, claims: Statement['claims']): ReturnType<typeof connected> {
    const { username, password, identity } = await world.login({ who, claims })
    const url = `mqtt://127.0.0.1:${world.broker.port}`
    const client = await connectClient(url, '', { protocolVersion: 5, username, password })
    return { client, identity }
  }

  test('is ready as it stands', () => {
    expect(world.notReady()).toEqual([])
    expect(pattern.statements.length).toBeGreaterThan(5)
  })

  test.each(pattern.statements)('$text', async (statement) => {
    const { who, claims, action, topic, filter = topic, isAllowed, qos, retain, rule } = statement
    const { client, identity } = await connected(who, claims)
    if (action === 'receive') {
      expect(await isGotten(client, filter, topic)).toBe(isAllowed)
      return
    }
    const done =
      action === 'publish'
        ? client.mqtt.publishAsync(topic, 'x', { qos, retain })
        : client.mqtt.subscribeAsync(topic, { qos })
    const refusal = await done.then(
      () => undefined,
      (error: Error) => error.message,
    )
    expect(refusal).toEqual(
      isAllowed ? undefined : expect.stringMatching(/[Nn]ot authorized|Unspecified error/),
    )
    const asked = { ...identity, action, topic, qos, retain }
    const { status, body } = await world.service.post('/v1/access/explain', asked, world.explainKey)
    expect(status).toBe(200)
    expect(body).toMatchObject({ allowed: isAllowed, ...(rule === undefined ? {} : { rule }) })
  })

  async function isGotten(client: TestClient, filter: string, topic: string): Promise<boolean> {
    const { client: tester } = await connected('tester')
    await client.mqtt.subscribeAsync(filter, { qos: 1 })
    client.received.length = 0
    await tester.mqtt.publishAsync(topic, 'asked', { qos: 1 })
    // What comes in order behind it, and may be read for certain.
    const marker = topic.replace(/[^/]+\/[^/]+$/, 'messages/marker')
    await tester.mqtt.publishAsync(marker, 'marker', { qos: 1 })
    await eventually('the marker arrives', () => client.received.some(({ payload }) => payload === 'marker'))
    return client.received.some(({ payload }) => payload === 'asked')
  }
})

describe('what the guide shows of the command', () => {
  test.each(guide.commands)('explain $line', async ({ line, output }) => {
    const pattern = guide.patterns[0]
    if (pattern === undefined) throw new Error('the guide has no pattern')
    const world = await PatternWorld.start(guide.base, pattern)
    await world.service.app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = world.service.app.server.address() as AddressInfo
    const environment = {
      CLOUDSIGNAL_CLI_URL: `http://127.0.0.1:${port}`,
      CLOUDSIGNAL_CLI_API_KEY: world.explainKey,
    }
    expect(await printed(line.split(' '), environment)).toBe(output)
    await world.close()
  })

  test('is something', () => {
    expect(guide.commands).toHaveLength(1)
  })
})

function printed(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['cli/main.ts', 'explain', ...args], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.once('close', () => resolve(output))
  })
}
