import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLog } from '#core/process/logger.ts'
import { type DemoIssuer, type DemoTokenOptions, startDemoIssuer } from '../demo-issuer.ts'
import { sampleKeys, sampleUsers } from '../samples.ts'
import { type Standalone, startStandalone } from '../standalone.ts'
import { DemoClient } from './demo-client.ts'

export interface Credential {
  readonly id: string
  readonly username: string
  readonly password: string
  readonly expires_in: number
}

export interface Answer {
  readonly status: number
  /** `code` of a problem. */
  readonly code: string | undefined
  readonly body: Readonly<Record<string, unknown>>
}

const issuerInExamples = 'http://127.0.0.1:8087'

/** A provider whose credentials end with the identity token: the story's short life. */
const shortLived = `apiVersion: cloudsignal.app/v1alpha1
kind: IdentityProvider
metadata: { name: short-lived }
spec:
  organizationRef: { name: acme }
  type: oidc
  oidc: { issuer: "${issuerInExamples}", audience: [demo] }
  bindToTokenExpiry: true
  accessListRefs: [{ name: people }]
`

/** A fresh standalone on free ports, on a copy of the examples, with state of its own; all of it goes at the end. */
export class Stage {
  readonly issuer: DemoIssuer
  readonly standalone: Standalone
  readonly said: readonly string[]
  readonly #root: string
  readonly #clients: DemoClient[] = []

  private constructor(root: string, issuer: DemoIssuer, standalone: Standalone, said: readonly string[]) {
    this.#root = root
    this.issuer = issuer
    this.standalone = standalone
    this.said = said
  }

  static async set(): Promise<Stage> {
    const root = await mkdtemp(join(tmpdir(), 'cloudsignal-demo-'))
    const issuer = await startDemoIssuer({ port: 0 })
    try {
      return await Stage.#setIn(root, issuer)
    } catch (error) {
      await issuer.close()
      await rm(root, { recursive: true, force: true })
      throw error
    }
  }

  static async #setIn(root: string, issuer: DemoIssuer): Promise<Stage> {
    const manifests = join(root, 'manifests')
    await cp(fileURLToPath(new URL('../../examples', import.meta.url)), manifests, { recursive: true })
    await writeFile(join(manifests, 'short-lived.yaml'), shortLived)
    for (const file of await readdir(manifests)) {
      const text = await readFile(join(manifests, file), 'utf8')
      await writeFile(join(manifests, file), text.replaceAll(issuerInExamples, issuer.issuer))
    }
    const said: string[] = []
    const standalone = await startStandalone({
      manifests,
      state: join(root, 'state'),
      host: '127.0.0.1',
      ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
      log: silentLog,
      say: (line) => void said.push(line),
    })
    return new Stage(root, issuer, standalone, said)
  }

  async strike(): Promise<void> {
    for (const client of this.#clients) client.close()
    await this.standalone.close()
    await this.issuer.close()
    await rm(this.#root, { recursive: true, force: true })
  }

  manifest(file: string): string {
    return join(this.#root, 'manifests', file)
  }

  /** Changes a manifest as an editor would. */
  async edit(file: string, change: (text: string) => string): Promise<void> {
    const before = await readFile(this.manifest(file), 'utf8').catch(() => '')
    await writeFile(this.manifest(file), change(before))
  }

  url(over: 'tls' | 'wss'): string {
    const { mqtts, wss } = this.standalone.ports
    return over === 'tls' ? `mqtts://127.0.0.1:${mqtts}` : `wss://127.0.0.1:${wss}/`
  }

  async connect(
    who: Pick<Credential, 'username' | 'password'>,
    over: 'tls' | 'wss',
    version: 4 | 5,
    options: { readonly clientId?: string; readonly ca?: string } = {},
  ): Promise<DemoClient> {
    const { username, password } = who
    const { ca } = this.standalone.certificates
    const client = await DemoClient.connect({
      url: this.url(over),
      ca,
      username,
      password,
      version,
      ...options,
    })
    this.#clients.push(client)
    return client
  }

  /** A permanent user of the examples, such as `default/backend`. */
  async user(name: string): Promise<{ readonly username: string; readonly password: string }> {
    const users = await sampleUsers(this.standalone.host)
    const user = users.find(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}` === name)
    if (user?.password === undefined) throw new Error(`there is no ready user ${name}`)
    return { username: user.username, password: user.password }
  }

  async apiKey(): Promise<string> {
    const [key] = await sampleKeys(this.standalone.host)
    if (key === undefined) throw new Error('there is no ready API key')
    return key.secret
  }

  async exchange(
    token: string,
    over: { readonly key?: string; readonly provider?: string } = {},
  ): Promise<Answer> {
    const { key = await this.apiKey(), provider = 'demo' } = over
    return this.#request('POST', '/v1/token/exchange', key, { provider, token })
  }

  /** Signs in: an identity token from the issuer, exchanged. */
  async signIn(person: string, options: DemoTokenOptions = {}, provider = 'demo'): Promise<Credential> {
    const answer = await this.exchange(await this.issuer.tokenFor(person, options), { provider })
    if (answer.status !== 200) throw new Error(`${person} got no credential: ${JSON.stringify(answer.body)}`)
    return answer.body as unknown as Credential
  }

  async revoke(id: string): Promise<Answer> {
    return this.#request('DELETE', `/v1/tokens/${id}`, await this.apiKey())
  }

  async #request(method: string, path: string, key: string, body?: object): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${this.standalone.ports.http}${path}`, {
      method,
      headers: {
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const parsed = (text === '' ? {} : JSON.parse(text)) as Readonly<Record<string, unknown>>
    const { code } = parsed
    return { status: response.status, code: typeof code === 'string' ? code : undefined, body: parsed }
  }
}
