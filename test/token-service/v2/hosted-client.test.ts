import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../../fixtures/eventually.ts'
import { IntegrationWorld } from '../../docs/integration-world.ts'

/**
 * The hosted product's client as it is published: github.com/cloudsignal/mqtt-client (MIT) is on no registry, and none of
 * it is in here. `CLOUDSIGNAL_TEST_HOSTED_CLIENT` names a checkout of it; published-client.test.ts sends what it sends,
 * wherever there is none.
 */
const checkout = process.env['CLOUDSIGNAL_TEST_HOSTED_CLIENT']

interface HostedClient {
  readonly tokenManager: {
    refreshToken(): Promise<{ readonly tokenId: string }>
    getProviders(organization: string): Promise<readonly object[]>
    readonly expiresAt: Date
    readonly mqttCredentials: { readonly username: string }
  }
  connectWithToken(config: object): Promise<object>
  isConnected(): boolean
  subscribe(topic: string, qos?: number): Promise<unknown>
  onMessage(handler: (topic: string, message: unknown) => void): void
  disconnect(force?: boolean): Promise<void>
}

const organization = 'org_k7xm4pqr2n5t'
const opened = "  exchange: { public: { origins: ['*'] } }\n"
let world: IntegrationWorld
let client: HostedClient

describe.skipIf(checkout === undefined)('the published client, unmodified but for its URL,', () => {
  beforeEach(async () => {
    world = await IntegrationWorld.build()
    await world.stage.edit('1-organization.yaml', (text) =>
      text.replace('  credentials:\n', `${opened}  credentials:\n    maxLifetime: 2h\n`),
    )
    const providers = `${world.tokenService}/v2/providers?organization_id=${organization}`
    await eventually('the organization is open to callers without a key', async () => {
      return (await fetch(providers)).ok
    })
    await cp(join(checkout ?? '', 'src'), join(world.directory, 'src'), { recursive: true })
    await world.install('mqtt')
    const file = pathToFileURL(join(world.directory, 'src', 'CloudSignalClient.ts')).href
    const { CloudSignalClient } = (await import(file)) as {
      CloudSignalClient: new (options: object) => HostedClient
    }
    client = new CloudSignalClient({ tokenServiceUrl: world.tokenService, rejectUnauthorized: false })
  })
  afterEach(async () => {
    await client.disconnect(true)
    await world.close()
  })

  test('exchanges, connects, hears what is said to it, and renews without a drop', async () => {
    const host = `wss://127.0.0.1:${world.stage.standalone.ports.wss}/`
    const externalToken = await world.stage.issuer.tokenFor('alice')
    await client.connectWithToken({ host, organizationId: organization, externalToken })
    expect(client.isConnected()).toBe(true)

    const heard: unknown[] = []
    client.onMessage((topic, message) => void heard.push([topic, String(message)]))
    await client.subscribe('users/alice/news', 1)
    const backend = await world.stage.connect(await world.stage.user('default/backend'), 'tls', 5)
    await backend.publish('users/alice/news', 'hello')
    await eventually('it hears the message', () => heard.length > 0)
    expect(heard).toEqual([['users/alice/news', 'hello']])

    const { expiresAt, mqttCredentials } = client.tokenManager
    await client.tokenManager.refreshToken()
    expect(client.tokenManager.expiresAt.getTime()).toBeGreaterThanOrEqual(expiresAt.getTime())
    expect(client.tokenManager.mqttCredentials).toEqual(mqttCredentials)
    expect(client.isConnected()).toBe(true)
    await backend.publish('users/alice/news', 'again')
    await eventually('it still hears', () => heard.length > 1)
    backend.close()
  })

  test('lists providers, and tells apart what went wrong', async () => {
    expect(await client.tokenManager.getProviders(organization)).toEqual(
      expect.arrayContaining([expect.objectContaining({ provider: 'oidc' })]),
    )
    const host = `wss://127.0.0.1:${world.stage.standalone.ports.wss}/`
    const externalToken = `${(await world.stage.issuer.tokenFor('alice')).slice(0, -8)}AAAAAAAA`
    const wrong = client.connectWithToken({ host, organizationId: organization, externalToken })
    await expect(wrong).rejects.toMatchObject({ type: 'AUTH_FAILED', status: 401 })
    const nowhere = client.connectWithToken({ host, organizationId: 'org_aaaabbbbcccc', externalToken })
    await expect(nowhere).rejects.toMatchObject({ type: 'ORG_NOT_FOUND', status: 404 })
  })
})
