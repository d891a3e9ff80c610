/**
 * The whole product, each program a process of its own: the examples go in by kubectl, the operator runs under
 * the chart's rights, a certified issuer signs the identity tokens, and clients sit on two broker replicas.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DemoIssuer, startDemoIssuer } from '../../standalone/demo-issuer.ts'
import { blockOf, readPage } from '../docs/page-blocks.ts'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { signShared } from '../fixtures/issuer.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { providerSamples } from '../fixtures/provider-samples.ts'
import { type GuardedRedis, startGuardedRedis } from '../fixtures/redis-users.ts'
import { followSealingRecipe, SealingFiles } from './sealing-recipe.ts'

const globex = 'org_b4gq2n6wz5ya'

interface Credential {
  readonly username: string
  readonly password: string
  readonly expires_at: string
  readonly expires_in: number
}

describe.skipIf(whyNoControlPlane !== undefined)('from kubectl apply to a message', () => {
  let cluster: OperatorCluster<GuardedRedis>
  let issuer: DemoIssuer
  let certificate: TestCertificate
  let replicas: readonly [Replica, Replica]
  let operator: RunningProgram
  let tokenService: RunningProgram
  let directory: string
  let files: SealingFiles
  let exchangeUrl: string
  let apiKey: string
  const clients: TestClient[] = []

  beforeAll(async () => {
    ;[cluster, issuer, certificate] = await Promise.all([
      startOperatorCluster(startGuardedRedis),
      startDemoIssuer({ port: 0 }),
      makeCertificate(),
    ])
    // Each program as its own user of Redis, with the rights that docs/redis-users.acl gives it.
    const { urlOf } = cluster.redisServer
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-story-'))
    files = new SealingFiles(directory)
    await files.write('operator', files.first)
    await files.write('token-service', files.first)
    operator = cluster.startOperator({
      CLOUDSIGNAL_REDIS_URL: urlOf('operator'),
      CLOUDSIGNAL_SEALING_KEYS_FILE: files.pathOf('operator'),
    })
    tokenService = startProgram('token-service', {
      CLOUDSIGNAL_REDIS_URL: urlOf('token-service'),
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
      CLOUDSIGNAL_SEALING_KEYS_FILE: files.pathOf('token-service'),
    })
    replicas = await Promise.all([
      startReplica(urlOf('broker'), certificate),
      startReplica(urlOf('broker'), certificate),
    ])
    const { port } = await tokenService.logged('the token service is listening')
    exchangeUrl = `http://127.0.0.1:${String(port)}/v1/token/exchange`
    await cluster.plane.kubectl(['create', 'namespace', 'globex'])
    for (const file of await readdir('examples')) {
      const text = (await readFile(`examples/${file}`, 'utf8')).replaceAll(
        'http://127.0.0.1:8087',
        issuer.issuer,
      )
      await cluster.plane.kubectl(['apply', '-f', '-', '--validate=strict'], text)
    }
    await cluster.ready('mqttuser', 'globex', 'sensor-01', 'True Synced')
    for (const name of ['sensor-01', 'backend'])
      await cluster.ready('mqttuser', 'default', name, 'True Synced')
    await cluster.ready('apikey', 'default', 'backend', 'True Synced')
    await cluster.ready('identityprovider', 'default', 'demo', 'True Synced')
    apiKey = await secret('default', 'backend-api-key', 'key')
  })

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.end()))
    await Promise.all([...(replicas ?? []).map(({ program }) => program.kill()), tokenService?.kill()])
    await Promise.all([cluster?.stop(), issuer?.close(), certificate?.remove()])
    await rm(directory, { recursive: true, force: true })
  })

  async function secret(namespace: string, name: string, key: string): Promise<string> {
    const found = await cluster.get<{ data: Record<string, string> }>('secret', namespace, name)
    return Buffer.from(found?.data[key] ?? '', 'base64').toString()
  }

  async function audited(query: string) {
    const url = new URL(`/v1/audit?${query}`, exchangeUrl)
    const response = await fetch(url, { headers: { authorization: `Bearer ${apiKey}` } })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    return { text, events: (JSON.parse(text) as { events: readonly Record<string, unknown>[] }).events }
  }

  function exchange(token: string, key = apiKey, provider = 'demo'): Promise<Response> {
    return fetch(exchangeUrl, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ provider, token }),
    })
  }

  async function credentialOf(person: string, alg: 'RS256' | 'ES256'): Promise<Credential> {
    const response = await exchange(await issuer.tokenFor(person, { alg }))
    expect(response.status).toBe(200)
    return (await response.json()) as Credential
  }

  /** On one of the replicas, over TLS or WSS. */
  async function connect(
    to: `${'mqtts' | 'wss'} of ${0 | 1}`,
    signIn: { readonly username: string; readonly password: string },
    protocolVersion: 4 | 5,
    clientId?: string,
  ): Promise<TestClient> {
    const [scheme, , index] = to.split(' ') as ['mqtts' | 'wss', string, '0' | '1']
    const client = await connectClient(`${scheme}://127.0.0.1:${replicas[index][scheme]}/`, '', {
      ca: certificate.cert,
      protocolVersion,
      username: signIn.username,
      password: signIn.password,
      ...(clientId === undefined ? {} : { clientId }),
    })
    clients.push(client)
    return client
  }

  async function permanent(namespace: string, name: string): Promise<{ username: string; password: string }> {
    const [username, password] = await Promise.all([
      secret(namespace, `${name}-mqtt`, 'username'),
      secret(namespace, `${name}-mqtt`, 'password'),
    ])
    return { username, password }
  }

  test.each([
    ['RS256', 'mqtts of 0', 5],
    ['ES256', 'wss of 0', 4],
  ] as const)(
    'an identity token (%s) becomes a credential that may do what its list allows, and hears a permanent user on the other replica',
    async (alg, to, protocolVersion) => {
      const person = `alice-${alg}`
      const credential = await credentialOf(person, alg)
      expect(credential.expires_in).toBe(3600)
      const alice = await connect(to, credential, protocolVersion)
      const backend = await connect('mqtts of 1', await permanent('default', 'backend'), 5)
      await alice.mqtt.subscribeAsync(`users/${person}/#`, { qos: 1 })
      await expect(alice.mqtt.subscribeAsync('users/bob/#', { qos: 1 })).rejects.toThrow(
        /Not authorized|Unspecified/,
      )
      await backend.mqtt.publishAsync('users/bob/inbox/1', 'for bob', { qos: 1 })
      await backend.mqtt.publishAsync(`users/${person}/inbox/1`, 'for alice', { qos: 1 })
      await eventually('it arrives', () => alice.received.length > 0)
      expect(alice.received).toEqual([
        { topic: `users/${person}/inbox/1`, payload: 'for alice', qos: 1, retain: false },
      ])
    },
  )

  test('a token that was changed, or brought without the right key, gets nothing', async () => {
    const token = await issuer.tokenFor('mallory')
    const [header, , signature] = token.split('.')
    const other = (await issuer.tokenFor('alice')).split('.')[1]
    expect((await exchange(`${header}.${other}.${signature}`)).status).toBe(401)
    expect((await exchange(token, `${apiKey.slice(0, -1)}x`)).status).toBe(401)
    expect((await exchange(token)).status).toBe(200)
  })

  test('the same names in another organization are other users, who never meet', async () => {
    const [here, there] = [await permanent('default', 'sensor-01'), await permanent('globex', 'sensor-01')]
    expect(there.username).toBe(`sensor_01@${globex}`)
    await expect(connect('mqtts of 0', { ...there, password: here.password }, 5)).rejects.toMatchObject({
      code: 0x86,
    })
    const [one, other] = [
      await connect('mqtts of 0', here, 5, 'same'),
      await connect('mqtts of 1', there, 5, 'same'),
    ]
    for (const client of [one, other]) await client.mqtt.subscribeAsync('devices/sensor_01/#', { qos: 1 })
    await one.mqtt.publishAsync('devices/sensor_01/state', 'acme', { qos: 1 })
    await other.mqtt.publishAsync('devices/sensor_01/state', 'globex', { qos: 1 })
    await eventually('each has its own', () => one.received.length > 0 && other.received.length > 0)
    expect([one, other].map(({ received }) => received.map(({ payload }) => payload))).toEqual([
      ['acme'],
      ['globex'],
    ])
    expect([one.closed(), other.closed()]).toEqual([false, false])
  })

  test('kubectl delete closes the live connection and kills the password, and nobody else notices', async () => {
    const signIn = await permanent('default', 'sensor-01')
    const sensor = await connect('wss of 1', signIn, 5)
    const twin = await connect('mqtts of 1', await permanent('globex', 'sensor-01'), 5)
    await cluster.plane.kubectl(['delete', 'mqttuser', 'sensor-01', '-n', 'default', '--wait=false'])
    await eventually('its connection is closed', () => sensor.closed())
    expect(sensor.goodbyes).toEqual([0x98])
    await expect(connect('mqtts of 0', signIn, 5)).rejects.toMatchObject({ code: 0x86 })
    expect(twin.closed()).toBe(false)
  })

  test('a suspended organization closes everyone of it and lets nobody in', async () => {
    const alice = await connect('mqtts of 0', await credentialOf('alice', 'RS256'), 5)
    const twin = await connect('mqtts of 0', await permanent('globex', 'sensor-01'), 5)
    const suspend = (isSuspended: boolean): Promise<unknown> =>
      cluster.plane.kubectl([
        'patch',
        'organization',
        'acme',
        '--namespace=default',
        '--type=merge',
        `--patch=${JSON.stringify({ spec: { suspended: isSuspended } })}`,
      ])
    await suspend(true)
    await eventually('her connection is closed', () => alice.closed())
    const refused = connect('mqtts of 1', await permanent('default', 'backend'), 5)
    await expect(refused).rejects.toMatchObject({ code: 0x87 })
    expect((await exchange(await issuer.tokenFor('alice'))).status).toBe(403)
    expect(twin.closed()).toBe(false)
    await suspend(false)
    await eventually('it is open again', () =>
      credentialOf('alice', 'RS256').then(
        () => true,
        () => false,
      ),
    )
  })

  test('the sealing key is rotated and replaced as docs/sealing.md says, while people sign in', async () => {
    const legacy = blockOf((await readPage('providers/supabase.md')).blocks, 'legacy')
    await cluster.plane.kubectl(['apply', '-n', 'default', '-f', '-', '--validate=strict'], legacy)
    await cluster.ready('identityprovider', 'default', 'supabase-legacy', 'True Synced')
    const [jwtSecret, { spec }] = [
      await secret('default', 'supabase-jwt', 'secret'),
      (await cluster.get<{ spec: { shortId: string } }>('organization', 'default', 'acme')) ?? {
        spec: { shortId: '' },
      },
    ]
    await followSealingRecipe({
      cluster,
      files,
      output: (program) => (program === 'operator' ? operator : tokenService).output(),
      async sealed() {
        const record = await cluster.store.get('provider', `org_${spec.shortId}`, 'supabase-legacy')
        return record?.secrets?.['jwt'] ?? ''
      },
      async exchange() {
        const claims = providerSamples.supabase.claims(Math.floor(Date.now() / 1000))
        return (await exchange(await signShared(jwtSecret, claims), apiKey, 'supabase-legacy')).status
      },
    })
    expect(operator.output()).not.toContain(jwtSecret)
    expect(tokenService.output()).not.toContain(jwtSecret)
  })

  test('the organization reads who came and who was refused, from every program, without a secret', async () => {
    const refused = await audited('event=credential.refused&nature=refusal')
    expect(refused.events).toContainEqual(
      expect.objectContaining({ program: 'token-service', provider: 'demo', reason: expect.any(String) }),
    )
    const connected = await audited('event=client.connected')
    expect(connected.events).toContainEqual(expect.objectContaining({ program: 'broker', protocol: 'mqtts' }))
    const revoked = await audited('event=client.revoked')
    expect(revoked.events).not.toEqual([])
    const { text } = await audited('limit=200')
    expect(text).not.toMatch(/cs_(mp|sk|pk)_|eyJ/)
    expect(text).not.toContain(globex)
  })

  test('an API key that is deleted takes along what it vouched for, and nobody who signed in with it', async () => {
    const metadata = { name: 'robots', namespace: 'default' }
    const scopes = ['exchange', 'tokens:create']
    const organizationRef = { name: 'acme' }
    await cluster.apply({
      apiVersion: 'cloudsignal.app/v1alpha1',
      kind: 'ApiKey',
      metadata,
      spec: { organizationRef, type: 'secret', scopes, accessListRefs: [{ name: 'people' }] },
    })
    await cluster.ready('apikey', 'default', 'robots', 'True Synced')
    const key = await secret('default', 'robots-api-key', 'key')
    const made = await fetch(exchangeUrl.replace('/token/exchange', '/tokens'), {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'worker', name: 'billing' }),
    })
    expect(made.status).toBe(201)
    const worker = await connect('mqtts of 0', (await made.json()) as Credential, 5)
    const response = await exchange(await issuer.tokenFor('alice'), key)
    const alice = await connect('mqtts of 1', (await response.json()) as Credential, 5)
    await cluster.plane.kubectl(['delete', 'apikey', 'robots', '-n', 'default'])
    await eventually('the worker is closed', () => worker.closed())
    expect(worker.goodbyes).toEqual([0x98])
    expect(alice.closed()).toBe(false)
  })

  describe('an identity provider', () => {
    const patch = (name: string, spec: object): Promise<unknown> =>
      cluster.plane.kubectl([
        'patch',
        'identityprovider',
        name,
        '--namespace=default',
        '--type=merge',
        `--patch=${JSON.stringify({ spec })}`,
      ])
    const remove = (kind: string, name: string): Promise<unknown> =>
      cluster.plane.kubectl(['delete', kind, name, '--namespace=default', '--wait=false'])
    const exchanged = async (token: string, provider: string): Promise<Credential> => {
      const response = await exchange(token, apiKey, provider)
      expect(response.status).toBe(200)
      return (await response.json()) as Credential
    }
    const codeOf = async (response: Response): Promise<unknown> =>
      ((await response.json()) as { code?: unknown }).code
    let stranger: TestClient
    beforeAll(async () => {
      const demo = await cluster.get<{ spec: object }>('identityprovider', 'default', 'demo')
      const metadata = { name: 'second', namespace: 'default' }
      const object = { apiVersion: 'cloudsignal.app/v1alpha1', kind: 'IdentityProvider', metadata }
      await cluster.apply({ ...object, spec: demo?.spec })
      await cluster.ready('identityprovider', 'default', 'second', 'True Synced')
      const token = await issuer.tokenFor('stranger')
      stranger = await connect('mqtts of 1', await exchanged(token, 'second'), 5)
    })

    test('that is suspended ends what was exchanged there on every replica, for good, and exchanges nothing', async () => {
      const token = await issuer.tokenFor('alice')
      const credential = await exchanged(token, 'demo')
      const alices = [await connect('mqtts of 0', credential, 5), await connect('wss of 1', credential, 4)]
      await patch('demo', { suspended: true })
      await eventually('her connections are closed', () => alices.every((alice) => alice.closed()))
      expect(alices[0]?.goodbyes).toEqual([0x98])
      await cluster.ready('identityprovider', 'default', 'demo', 'False Suspended')
      expect(await codeOf(await exchange(token))).toBe('provider_suspended')
      await patch('demo', { suspended: false })
      await cluster.ready('identityprovider', 'default', 'demo', 'True Synced')
      await expect(connect('mqtts of 0', credential, 5)).rejects.toMatchObject({ code: 0x86 })
      await eventually('a new token is exchanged', async () => {
        return (await exchange(await issuer.tokenFor('alice'))).status === 200
      })
      expect(await codeOf(await exchange(token))).toBe('token_revoked')
      expect(stranger.closed()).toBe(false)
    })

    test('that accepts less ends what was exchanged, and judges the same token anew', async () => {
      const token = await issuer.tokenFor('alice')
      const alice = await connect('mqtts of 0', await exchanged(token, 'demo'), 5)
      await patch('demo', { allowAnonymous: true })
      await cluster.ready('identityprovider', 'default', 'demo', 'True Synced')
      expect(alice.closed()).toBe(false)
      await patch('demo', { allowAnonymous: false })
      await eventually('her connection is closed', () => alice.closed())
      await connect('mqtts of 1', await exchanged(token, 'demo'), 5)
      expect(stranger.closed()).toBe(false)
    })

    test('whose Secret is missing exchanges nothing and ends nothing; deleted, it ends all', async () => {
      const jwtSecret = await secret('default', 'supabase-jwt', 'secret')
      const claims = providerSamples.supabase.claims(Math.floor(Date.now() / 1000))
      const token = await signShared(jwtSecret, claims)
      const carol = await connect('mqtts of 0', await exchanged(token, 'supabase-legacy'), 5)
      await remove('secret', 'supabase-jwt')
      await cluster.ready('identityprovider', 'default', 'supabase-legacy', 'False SecretNotFound')
      const refused = await exchange(token, apiKey, 'supabase-legacy')
      expect([refused.status, await codeOf(refused)]).toEqual([503, 'provider_unavailable'])
      expect(carol.closed()).toBe(false)
      await remove('identityprovider', 'supabase-legacy')
      await eventually('the connection is closed', () => carol.closed())
      expect(await codeOf(await exchange(token, apiKey, 'supabase-legacy'))).toBe('provider_not_found')
      expect(stranger.closed()).toBe(false)
    })

    test('that is deleted and made anew by that name takes new tokens', async () => {
      const token = await issuer.tokenFor('alice')
      const alice = await connect('wss of 0', await exchanged(token, 'demo'), 5)
      const demo = await cluster.get<{ metadata: object; spec: object }>(
        'identityprovider',
        'default',
        'demo',
      )
      await cluster.plane.kubectl([
        'delete',
        'identityprovider',
        'demo',
        '--namespace=default',
        '--timeout=30s',
      ])
      await eventually('her connection is closed', () => alice.closed())
      const metadata = { name: 'demo', namespace: 'default' }
      await cluster.apply({
        apiVersion: 'cloudsignal.app/v1alpha1',
        kind: 'IdentityProvider',
        metadata,
        spec: demo?.spec,
      })
      await cluster.ready('identityprovider', 'default', 'demo', 'True Synced')
      const again = await eventually('a new token is exchanged', async () => {
        const response = await exchange(await issuer.tokenFor('alice'))
        return response.status === 200 ? ((await response.json()) as Credential) : undefined
      })
      const newcomer = await connect('mqtts of 1', again, 5)
      expect([newcomer.closed(), stranger.closed()]).toEqual([false, false])
    })
  })

  test('no program wrote a secret into its log', async () => {
    const { password } = await permanent('default', 'backend')
    const logs = [...replicas.map(({ program }) => program), tokenService, operator].map((program) =>
      program.output(),
    )
    for (const log of logs) {
      expect(log).not.toContain(password)
      expect(log).not.toMatch(/cs_(mp|sk|pk)_|eyJ/)
    }
  })
})
