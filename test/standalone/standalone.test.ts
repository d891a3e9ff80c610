import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import type { DemoClient } from '../../standalone/demo/demo-client.ts'
import { connectToStandalone } from '../fixtures/standalone-client.ts'
import { sampleKeys, sampleUsers } from '../../standalone/samples.ts'
import { type Standalone, type StandaloneOptions, startStandalone } from '../../standalone/standalone.ts'
import { eventually } from '../fixtures/eventually.ts'
import { freePort, type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const examples = fileURLToPath(new URL('../../examples', import.meta.url))

interface Place {
  readonly manifests: string
  readonly said: string[]
  /** May be called again, which is a restart. */
  start(over?: Partial<StandaloneOptions>): Promise<Standalone>
}

async function aPlace(): Promise<Place> {
  const root = await temporaryDirectory()
  const manifests = join(root, 'manifests')
  await cp(examples, manifests, { recursive: true })
  const said: string[] = []
  return {
    manifests,
    said,
    start: async (over = {}) => {
      const standalone = await startStandalone({
        manifests,
        state: join(root, 'state'),
        host: '127.0.0.1',
        ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
        log: silentLog,
        say: (line) => void said.push(line),
        ...over,
      })
      onTestFinished(() => standalone.close())
      return standalone
    },
  }
}

async function credentialsOf({ host }: Standalone): Promise<Record<string, string>> {
  const users = (await sampleUsers(host)).map(({ username, password = '' }) => [username, password])
  const keys = (await sampleKeys(host)).map(({ resource, secret }) => [resource.metadata.name, secret])
  return Object.fromEntries([...users, ...keys]) as Record<string, string>
}

async function connect(
  standalone: Standalone,
  username: string,
  knownPassword?: string,
): Promise<DemoClient> {
  const password = knownPassword ?? (await credentialsOf(standalone))[username] ?? ''
  const client = await connectToStandalone(standalone, { username, password })
  onTestFinished(() => client.close())
  return client
}

const sensor = 'sensor_01@org_k7xm4pqr2n5t'
const backend = 'backend@org_k7xm4pqr2n5t'

async function readiness({ ports }: Standalone): Promise<number> {
  return (await fetch(`http://127.0.0.1:${ports.probes}/readyz`)).status
}

describe('standalone', () => {
  it('serves the users of its manifests as soon as it has started, and says that it is ready', async () => {
    const standalone = await (await aPlace()).start()
    const [listener, speaker] = [await connect(standalone, sensor), await connect(standalone, backend)]
    await listener.subscribe('devices/sensor_01/#')
    await speaker.publish('devices/sensor_01/a', 'hello')
    await eventually('the message', () => listener.hasReceived('hello'))
    expect(await readiness(standalone)).toBe(200)
  })

  it('keeps passwords, API keys and the CA over a restart', async () => {
    const place = await aPlace()
    const first = await place.start()
    const before = await credentialsOf(first)
    await first.close()
    const second = await place.start()
    expect(Object.keys(before)).toHaveLength(5)
    expect(await credentialsOf(second)).toEqual(before)
    expect(second.certificates.ca).toBe(first.certificates.ca)
    await connect(second, sensor)
  })

  it('makes new ones in another state directory', async () => {
    const [one, other] = [await (await aPlace()).start(), await (await aPlace()).start()]
    expect((await credentialsOf(one))[sensor]).not.toBe((await credentialsOf(other))[sensor])
  })

  it('removes what an Organization has left whose manifest goes, before one of the same name is there', async () => {
    const { manifests, said, start } = await aPlace()
    const standalone = await start()
    const first = await connect(standalone, sensor)
    await first.publish('devices/sensor_01/a', 'kept', true)
    const file = join(manifests, '1-organization.yaml')
    const text = await readFile(file, 'utf8')
    await rm(file)
    await eventually('it is deleted', () => said.some((line) => /^Organization .* is deleted$/.test(line)))
    expect(said).toContainEqual(expect.stringMatching(/^Organization .* is not ready: Purging: /))
    await writeFile(file, text)
    const again = await eventually('its users are back', () =>
      connect(standalone, sensor).catch(() => undefined),
    )
    await again.subscribe('devices/sensor_01/#')
    await again.publish('devices/sensor_01/b', 'new')
    await eventually('what is new comes', () => again.hasReceived('new'))
    expect(again.hasReceived('kept')).toBe(false)
  })

  it('lets a user in that is added while it runs, and gives it the access that its list has by then', async () => {
    const { manifests, start } = await aPlace()
    const standalone = await start()
    const text = await readFile(join(manifests, '5-users.yaml'), 'utf8')
    await writeFile(
      join(manifests, 'new.yaml'),
      text.slice(text.indexOf('---')).replace('name: backend', 'name: new'),
    )
    const username = 'new@org_k7xm4pqr2n5t'
    await eventually('the user', async () => (await credentialsOf(standalone))[username])
    const client = await connect(standalone, username)
    await expect(client.subscribe('elsewhere/#')).rejects.toThrow(/Not authorized/)
    const lists = join(manifests, '2-access-lists.yaml')
    await writeFile(
      lists,
      (await readFile(lists, 'utf8')).replace('"devices/#"]', '"devices/#", "elsewhere/#"]'),
    )
    await eventually('the access', () =>
      client.subscribe('elsewhere/#').then(
        () => true,
        () => false,
      ),
    )
  })

  it('goes on serving while a manifest is malformed', async () => {
    const { manifests, said, start } = await aPlace()
    const standalone = await start()
    const client = await connect(standalone, sensor)
    await writeFile(join(manifests, '5-users.yaml'), 'kind: [')
    await eventually('the problem', () => said.some((line) => line.includes('5-users.yaml:1')))
    await client.subscribe('devices/sensor_01/#')
    await connect(standalone, backend)
  })

  it('says what is missing when an access list is gone, and denies', async () => {
    const { manifests, said, start } = await aPlace()
    const standalone = await start()
    const client = await connect(standalone, sensor)
    await rm(join(manifests, '2-access-lists.yaml'))
    await eventually('the status', () =>
      said.some((line) => line.startsWith('MqttUser default/sensor-01 is not ready: AccessListNotFound: ')),
    )
    await expect(client.subscribe('devices/sensor_01/#')).rejects.toThrow(/Not authorized/)
  })

  it('starts on an empty directory, and serves nobody', async () => {
    const { start } = await aPlace()
    const manifests = join(await temporaryDirectory(), 'empty')
    await mkdir(manifests)
    const standalone = await start({ manifests })
    expect(await credentialsOf(standalone)).toEqual({})
    await expect(connect(standalone, sensor)).rejects.toThrow(/Bad User Name or Password/)
  })

  it('closes everything when it is closed', async () => {
    const standalone = await (await aPlace()).start()
    const client = await connect(standalone, sensor)
    await standalone.close()
    await eventually('the end of the connection', () => client.isClosed)
    await expect(readiness(standalone)).rejects.toThrow()
  })
})

describe('a port that is taken', () => {
  let blocker: Server
  let port: number
  beforeAll(async () => {
    port = await freePort()
    blocker = createServer().listen(port, '127.0.0.1')
  })
  afterAll(() => void blocker.close())

  it.for(['mqtts', 'wss', 'http', 'probes'] as const)(
    'is named, and leaves nothing open: %s',
    async (name) => {
      const { start } = await aPlace()
      const others = { mqtts: await freePort(), wss: 0, http: 0, probes: 0 }
      await expect(start({ ports: { ...others, [name]: port } })).rejects.toMatchObject({
        code: 'port-in-use',
        message: `port ${port} of 127.0.0.1 is taken by another program`,
      })
      await start({ ports: others })
    },
  )
})

describe('on Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedisServer()
  })
  afterAll(() => redis.stop())

  it('serves the same story, and removes what was deleted while it was down', async () => {
    const place = await aPlace()
    const first = await place.start({ redisUrl: redis.url })
    const { [sensor]: password } = await credentialsOf(first)
    await connect(first, sensor, password)
    await first.close()
    const users = join(place.manifests, '5-users.yaml')
    const text = await readFile(users, 'utf8')
    await writeFile(users, text.slice(text.indexOf('---')))
    const second = await place.start({ redisUrl: redis.url })
    await connect(second, backend)
    await expect(connect(second, sensor, password)).rejects.toThrow(/Bad User Name or Password/)
  })

  it('waits for a Redis that is not there, says so, and can be told to stop waiting', async () => {
    const { said, start } = await aPlace()
    const stop = new AbortController()
    const start_ = start({ redisUrl: `redis://127.0.0.1:${await freePort()}`, signal: stop.signal })
    await eventually('the notice', () => said.some((line) => line.startsWith('waiting for Redis at ')))
    stop.abort(new Error('enough'))
    await expect(start_).rejects.toThrow('enough')
  })
})
