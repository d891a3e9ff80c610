import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { silentLog } from '#core/process/logger.ts'
import type { DemoClient } from '../../standalone/demo/demo-client.ts'
import { connectToStandalone } from '../fixtures/standalone-client.ts'
import { sampleKeys } from '../../standalone/samples.ts'
import { type Standalone, startStandalone } from '../../standalone/standalone.ts'
import { eventually } from '../fixtures/eventually.ts'
import { jwksOf, signWith } from '../fixtures/issuer.ts'
import { createPostgres, type PostgresDatabase, postgresPrograms } from '../fixtures/postgres.ts'
import { providerSamples } from '../fixtures/provider-samples.ts'
import { genuineKeys } from '../fixtures/token-forgeries.ts'
import { webhookHeaders } from '../fixtures/webhooks.ts'
import { blockOf, readPage } from './page-blocks.ts'

/** What the pages about Clerk and Supabase say of webhooks, as somebody would follow them. */
const programs = await postgresPrograms()
const hosts = ['clerk', 'supabase'] as const
type Host = (typeof hosts)[number]

let root: string
let standalone: Standalone
let database: PostgresDatabase | undefined
let apiKey: string
const clients: DemoClient[] = []
const secrets = new Map<Host, string>()
/** Before everything that is revoked: a token that is made later is another proof. */
const signedInAt = Math.floor(Date.now() / 1_000)

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cloudsignal-webhooks-'))
  const manifests = join(root, 'manifests')
  await cp(fileURLToPath(new URL('../../examples', import.meta.url)), manifests, { recursive: true })
  await rm(join(manifests, '3-identity-provider.yaml'))
  for (const host of hosts) {
    const { blocks } = await readPage(`providers/${host}.md`)
    const provider = parse(blockOf(blocks, 'yaml')) as { spec: object }
    const { spec } = parse(blockOf(blocks, 'webhook')) as { spec: object }
    const secret = parse(blockOf(blocks, 'webhook secret')) as { stringData: { secret: string } }
    secrets.set(host, secret.stringData.secret)
    const hooked = { ...provider, spec: { ...provider.spec, ...spec } }
    await writeFile(
      join(manifests, `${host}.yaml`),
      [hooked, secret].map((one) => JSON.stringify(one)).join('\n---\n'),
    )
  }
  standalone = await startStandalone({
    manifests,
    state: join(root, 'state'),
    host: '127.0.0.1',
    ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
    log: silentLog,
    fetchDocument: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
  })
  apiKey = (await sampleKeys(standalone.host))[0]?.secret ?? ''
})
afterEach(() => clients.splice(0).forEach((client) => client.close()))
afterAll(async () => {
  await standalone.close()
  await database?.remove()
  await rm(root, { recursive: true, force: true })
})

const service = (): string => `http://127.0.0.1:${standalone.ports.http}`

async function exchange(provider: Host, over: object = {}): Promise<Record<string, string>> {
  const { claims, header } = providerSamples[provider]
  const all = { ...claims(signedInAt), ...over }
  const token = await signWith(genuineKeys, all, header === undefined ? {} : { header })
  const answer = await fetch(`${service()}/v1/token/exchange`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ provider, token }),
  })
  return (await answer.json()) as Record<string, string>
}

async function connected(provider: Host, over: object = {}): Promise<DemoClient> {
  const client = await connectToStandalone(standalone, await exchange(provider, over))
  clients.push(client)
  return client
}

async function send(url: string, body: string, headers: Record<string, string>): Promise<unknown> {
  const path = url.replace('https://tokens.example.com', service())
  const type = { 'content-type': 'application/json' }
  const answer = await fetch(path, { method: 'POST', headers: { ...type, ...headers }, body })
  return { status: answer.status, ...((await answer.json()) as object) }
}

const revoked = { status: 200, outcome: 'revoked' }

test('Clerk’s webhook closes the connections of a session that ended, and of a user who was banned', async () => {
  const { text } = await readPage('providers/clerk.md')
  const url = /https:\/\/tokens\.example\.com\/v1\/webhooks\/org_\w+\/clerk/.exec(text)?.[0] ?? ''
  const clerk = (event: object, secret = secrets.get('clerk') ?? ''): Promise<unknown> => {
    const body = JSON.stringify(event)
    return send(url, body, webhookHeaders(secret, body, { at: Math.floor(Date.now() / 1_000) }))
  }
  const user = { id: 'user_2abcDEF' }
  const session = { id: 'sess_2abcDEF', user_id: user.id }
  const [here, elsewhere] = [await connected('clerk'), await connected('clerk', { sid: 'sess_other' })]
  const banned = { type: 'user.updated', data: { ...user, banned: true } }
  expect(await clerk(banned, `whsec_${'A'.repeat(32)}`)).toMatchObject({
    status: 401,
    code: 'invalid_webhook',
  })
  expect(await clerk({ type: 'session.ended', data: session })).toEqual(revoked)
  await eventually('the session is over', () => here.isClosed)
  expect(elsewhere.isClosed).toBe(false)
  expect(await exchange('clerk')).toMatchObject({ code: 'session_ended' })
  expect(await clerk(banned)).toEqual(revoked)
  await eventually('the user is gone', () => elsewhere.isClosed)
  expect(await exchange('clerk', { sid: 'sess_other' })).toMatchObject({ code: 'token_revoked' })
})

/** What Supabase brings, as far as the trigger needs it; requests are kept in place of being sent. */
const supabaseStandIn = `
create schema extensions; create extension pgcrypto schema extensions;

create schema vault; create table vault.decrypted_secrets (name text, decrypted_secret text);

create function vault.create_secret(secret text, name text) returns void language sql
  as $$ insert into vault.decrypted_secrets values (name, secret) $$;

create schema net; create table net.sent (place serial, url text, body text, headers jsonb);

create function net.http_post(url text, body jsonb, headers jsonb) returns void language sql
  as $$ insert into net.sent (url, body, headers) values (url, body::text, headers) $$;

create schema auth; create table auth.users (id uuid primary key, email text, encrypted_password text,
  banned_until timestamptz, deleted_at timestamptz);

create table auth.sessions (id uuid primary key, user_id uuid references auth.users on delete cascade);`

test.skipIf(programs === undefined)(
  'the trigger in Supabase closes the connections of who signed out, was banned or deleted',
  async () => {
    database = await createPostgres(programs ?? '')
    const { blocks } = await readPage('providers/supabase.md')
    await database.execute(`${supabaseStandIn}\n\n${blockOf(blocks, 'trigger')}`)
    const user = String(providerSamples.supabase.claims(0)['sub'])
    const session = '0b6f4b6e-7d57-4c55-8f55-5b9b7f3f4a11'
    const another = '0b6f4b6e-7d57-4c55-8f55-5b9b7f3f4a12'
    /** The statement, and then what the trigger sent for it. */
    const change = async (statement: string): Promise<readonly unknown[]> => {
      const out = `copy (select json_build_array(url, body, headers) from net.sent order by place) to '${database?.directory}/sent' (format csv, quote E'\\x01')`
      await database?.execute(`truncate net.sent; ${statement};\n\n${out};`)
      const lines = ((await database?.read('sent')) ?? '').split('\n').filter((line) => line !== '')
      const answers: unknown[] = []
      for (const line of lines.map((each) => each.replace(/^\u0001(.*)\u0001$/, '$1'))) {
        const [url, body, headers] = JSON.parse(line) as [string, string, Record<string, string>]
        expect(body).not.toMatch(/ada@example\.com|not to be told/)
        answers.push(await send(url, body, headers))
      }
      return answers
    }
    expect(
      await change(
        `insert into auth.users values ('${user}', 'ada@example.com', 'not to be told', null, null);
         insert into auth.sessions values ('${session}', '${user}'), ('${another}', '${user}')`,
      ),
    ).toEqual([])
    const [here, elsewhere] = [
      await connected('supabase'),
      await connected('supabase', { session_id: another }),
    ]
    expect(await change(`update auth.users set email = 'ada@example.com'`)).toEqual([])
    expect(await change(`delete from auth.sessions where id = '${session}'`)).toEqual([revoked])
    await eventually('the session is over', () => here.isClosed)
    expect(elsewhere.isClosed).toBe(false)
    expect(await exchange('supabase')).toMatchObject({ code: 'session_ended' })
    expect(await change(`update auth.users set banned_until = now() + interval '1 day'`)).toEqual([revoked])
    await eventually('the user is banned', () => elsewhere.isClosed)
    expect(await exchange('supabase', { session_id: another })).toMatchObject({ code: 'token_revoked' })
    // Its session goes with it.
    expect(await change(`delete from auth.users`)).toEqual([revoked, revoked])
  },
)
