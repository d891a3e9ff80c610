import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import type { Context, Provider } from 'oidc-provider'
import { Type } from 'typebox'
import { DomainError } from '#core/errors.ts'
import { parseJson } from '#core/json.ts'
import { listenOn } from '#core/process/probe-server.ts'
import type { StateDirectory } from './state-directory.ts'

/**
 * An OpenID issuer for trying things out, FOR DEMONSTRATION ONLY: it signs an identity token for whoever asks,
 * under any name, without a password. It listens on the loopback alone. Discovery, keys and tokens are those of
 * `oidc-provider`, a certified implementation; only the grant is ours.
 */
export interface DemoIssuer {
  /** As it stands in `iss`: `http://127.0.0.1:<port>`. */
  readonly issuer: string
  /** An identity token over HTTP, as curl would get it. */
  tokenFor(username: string, options?: DemoTokenOptions): Promise<string>
  close(): Promise<void>
}

export interface DemoTokenOptions {
  readonly alg?: DemoAlgorithm
  /** Claims beside `sub`, `email`, `aud` and the times. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** An id_token (default), or a JWT access token of RFC 9068. */
  readonly use?: 'id_token' | 'access_token'
  /** Of an id_token: 600 seconds unless less is given. */
  readonly lifeSeconds?: number
}

export type DemoAlgorithm = 'RS256' | 'ES256'

export interface DemoIssuerOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Keeps the signing keys over a restart; without it they are new each time. */
  readonly state?: StateDirectory
}

export const demoGrant = 'urn:cloudsignal:demo'
/** The audience of every token is the client that asked: it decides the algorithm. */
export const demoClients: Readonly<Record<DemoAlgorithm, string>> = { RS256: 'demo', ES256: 'demo-es256' }

const host = '127.0.0.1'
const tokenLifeSeconds = 600
const stateFile = 'demo-issuer.json'
const remedy = 'delete it to have new signing keys made'
/** Claims that a request can not choose. */
const ownClaims = ['iss', 'aud', 'sub', 'iat', 'exp', 'nonce', 'at_hash']

export async function startDemoIssuer({ port, state }: DemoIssuerOptions): Promise<DemoIssuer> {
  const library = await loadLibrary()
  const keys = await signingKeys(state)
  const server = createServer()
  const issuer = `http://${host}:${await listenOn(server, port, host)}`
  server.on('request', createProvider(library, issuer, keys).callback())
  return {
    issuer,
    tokenFor: (username, options = {}) => requestToken(issuer, username, options),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

type Library = typeof import('oidc-provider')

/** On every Node release without long-term support it warns, of no use to the reader of a demo. */
async function loadLibrary(): Promise<Library> {
  const { warn } = console
  console.warn = () => {}
  try {
    return await import('oidc-provider')
  } catch (cause) {
    throw new DomainError(
      'invalid-settings',
      'the demo issuer needs oidc-provider, a development dependency: install with npm ci, or go without by --no-demo-issuer',
      { cause },
    )
  } finally {
    console.warn = warn
  }
}

function createProvider(library: Library, issuer: string, keys: readonly JWK[]): Provider {
  const { errors } = library
  const provider = new library.Provider(issuer, {
    adapter: NothingKept,
    jwks: { keys },
    clients: (['RS256', 'ES256'] as const).map((alg) => ({
      client_id: demoClients[alg],
      grant_types: [demoGrant],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: alg,
    })),
    cookies: { keys: ['no cookie is ever used'] },
    ttl: { AccessToken: tokenLifeSeconds, IdToken: tokenLifeSeconds },
    features: { devInteractions: { enabled: false } },
    findAccount: (_ctx: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ sub: accountId }),
    }),
    extraTokenClaims: (ctx: Context) => claimsOf(ctx, errors),
  })
  const parameters = new Set(['username', 'email', 'claims', 'life'])
  provider.registerGrantType(
    demoGrant,
    async (ctx) => void (ctx.body = await answerTo(ctx, errors)),
    parameters,
  )
  return provider
}

async function answerTo(ctx: Context, errors: Library['errors']): Promise<object> {
  const { client, params, provider } = ctx.oidc
  const sub = params['username']
  if (sub === undefined) throw new errors.InvalidRequest('give -d username=… (any name)')
  const life = Number(params['life'] ?? tokenLifeSeconds)
  if (!Number.isInteger(life) || life < 1 || life > tokenLifeSeconds) {
    throw new errors.InvalidRequest(`give -d life=… as 1 to ${tokenLifeSeconds} seconds`)
  }
  const { clientId, idTokenSignedResponseAlg: alg } = client as {
    readonly clientId: string
    readonly idTokenSignedResponseAlg: string
  }
  const accessToken = new provider.AccessToken({ accountId: sub, client, grantId: 'demo', gty: demoGrant })
  accessToken.resourceServer = new provider.ResourceServer(clientId, {
    audience: clientId,
    scope: '',
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg } },
  })
  const idToken = new provider.IdToken({ sub }, { ctx })
  idToken.scope = 'openid'
  for (const [name, value] of Object.entries(claimsOf(ctx, errors))) idToken.set(name, value)
  return {
    id_token: await idToken.issue({ use: 'idtoken', expiresAt: Math.floor(Date.now() / 1000) + life }),
    access_token: await accessToken.save(),
    token_type: 'Bearer',
    expires_in: tokenLifeSeconds,
    warning: 'demo issuer: nobody checked who you are',
  }
}

/** What the request asks for beside `sub`. */
function claimsOf(
  { oidc: { params } }: Context,
  { InvalidRequest }: Library['errors'],
): Readonly<Record<string, unknown>> {
  const email = params['email'] ?? `${params['username'] ?? 'nobody'}@example.com`
  const claims = parsedClaims(params['claims'] ?? '{}')
  if (claims === undefined) throw new InvalidRequest('give claims as a JSON object')
  const taken = ownClaims.find((name) => Object.hasOwn(claims, name))
  if (taken !== undefined) throw new InvalidRequest(`claims can not have ${taken}`)
  return { email, email_verified: true, ...claims }
}

function parsedClaims(text: string): Readonly<Record<string, unknown>> | undefined {
  const claims = parseJson(text)
  return typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? { ...claims } : undefined
}

async function requestToken(issuer: string, username: string, options: DemoTokenOptions): Promise<string> {
  const { alg = 'RS256', claims = {}, use = 'id_token', lifeSeconds = tokenLifeSeconds } = options
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: demoGrant,
      client_id: demoClients[alg],
      username,
      claims: JSON.stringify(claims),
      life: String(lifeSeconds),
    }),
  })
  const answer = (await response.json()) as Readonly<Record<string, unknown>>
  const token = answer[use]
  if (typeof token !== 'string') throw new Error(`the demo issuer refused: ${JSON.stringify(answer)}`)
  return token
}

async function signingKeys(state: StateDirectory | undefined): Promise<readonly JWK[]> {
  const schema = Type.Array(Type.Object({ kty: Type.String(), alg: Type.String(), kid: Type.String() }))
  const stored = await state?.readJson(stateFile, schema, remedy)
  if (stored !== undefined) return stored as JWK[]
  const keys = await Promise.all((['RS256', 'ES256'] as const).map(generateKey))
  await state?.writeJson(stateFile, keys)
  return keys
}

async function generateKey(alg: DemoAlgorithm): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: randomUUID() }
}

/** Storage of oidc-provider: signed tokens need none. */
class NothingKept {
  async upsert(): Promise<void> {}
  async find(): Promise<undefined> {
    return undefined
  }
  async findByUserCode(): Promise<undefined> {
    return undefined
  }
  async findByUid(): Promise<undefined> {
    return undefined
  }
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
  async consume(): Promise<void> {}
}
