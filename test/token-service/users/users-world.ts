import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Log } from '#core/process/logger.ts'
import type { DemoClient } from '../../../standalone/demo/demo-client.ts'
import { connectToStandalone } from '../../fixtures/standalone-client.ts'
import { sampleKeys } from '../../../standalone/samples.ts'
import { type Standalone, startStandalone } from '../../../standalone/standalone.ts'
import type { OpenApiDocument } from '../../../token-service/openapi/openapi-types.ts'
import { temporaryDirectory } from '../../standalone/temporary-directory.ts'
import { expectDocumentedBy } from '../documented-answers.ts'

export const org = 'org_k7xm4pqr2n5t'

/** Whatever answers of these routes hold; what is not there reads as undefined. */
export interface UsersBody {
  readonly code: string
  readonly errors: unknown
  readonly name: string
  readonly username: string
  readonly password: string
  readonly former_password_expires_at: string
  readonly created_at: string
  readonly status: string
  readonly access: unknown
  readonly limits: unknown
  readonly problem: unknown
  readonly users: readonly UsersBody[]
  readonly next: string | undefined
}

export interface UsersAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly body: UsersBody
}

/** Standalone with an organization, a few lists, and keys: `all` without a ceiling, `tenant` under one, `none`. */
export interface UsersWorld {
  readonly standalone: Standalone
  readonly manifests: string
  readonly logged: Record<string, unknown>[]
  call(method: string, path: string, body?: unknown, key?: string, headers?: object): Promise<UsersAnswer>
  create(body: object, key?: string, headers?: object): Promise<UsersAnswer>
  connect(username: string, password: string): Promise<DemoClient>
}

const manifest = (kind: string, name: string, spec: object): string =>
  JSON.stringify({
    apiVersion: 'cloudsignal.app/v1alpha1',
    kind,
    metadata: { name },
    spec: kind === 'Organization' ? spec : { organizationRef: { name: 'acme' }, ...spec },
  })

const list = (name: string, topics: readonly string[], ...others: object[]): string =>
  manifest('AccessList', name, {
    rules: [{ effect: 'allow', actions: ['publish', 'subscribe'], topics }, ...others],
  })

const key = (name: string, scopes: readonly string[], ...lists: readonly string[]): string =>
  manifest('ApiKey', name, {
    type: 'secret',
    scopes,
    ...(lists.length === 0 ? {} : { accessListRefs: lists.map((name) => ({ name })) }),
  })

export async function aUsersWorld(limits: object = {}): Promise<UsersWorld> {
  const root = await temporaryDirectory()
  const manifests = join(root, 'manifests')
  await mkdir(manifests)
  const documents = [
    manifest('Organization', 'acme', { shortId: org.slice(4), limits }),
    list('devices', ['devices/{username}/#']),
    list('wide', ['#']),
    list('tenant', ['tenants/a/#']),
    list('other', ['tenants/b/#']),
    key('all', ['users:write']),
    key('tenant', ['users:write'], 'tenant', 'devices'),
    key('other', ['users:write'], 'other'),
    key('none', ['exchange']),
    manifest('MqttUser', 'declared', { username: 'declared', accessListRefs: [{ name: 'devices' }] }),
  ]
  await writeFile(join(manifests, 'all.yaml'), documents.join('\n---\n'))
  const logged: Record<string, unknown>[] = []
  const write = (fields: object, message: string): void => void logged.push({ ...fields, message })
  const log: Log = { debug: write, info: write, warn: write, error: write }
  const standalone = await startStandalone({
    manifests,
    state: join(root, 'state'),
    host: '127.0.0.1',
    ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
    log,
  })
  onTestFinished(() => standalone.close())
  const keys = new Map(
    (await sampleKeys(standalone.host)).map(({ resource, secret }) => [resource.metadata.name, secret]),
  )
  const api = `http://127.0.0.1:${standalone.ports.http}`
  const document = (await (await fetch(`${api}/openapi.json`)).json()) as OpenApiDocument
  const call: UsersWorld['call'] = async (method, path, body, by = 'all', headers = {}) => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${keys.get(by) ?? by}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      text,
      body: (text === '' ? {} : JSON.parse(text)) as UsersBody,
    }
    expectDocumentedBy(document, method, path, { ...answer, body: { ...answer.body } })
    return answer
  }
  return {
    standalone,
    manifests,
    logged,
    call,
    create: (body, by, headers) => call('POST', '/v1/users', body, by, headers),
    async connect(username, password) {
      const client = await connectToStandalone(standalone, { username, password })
      onTestFinished(() => client.close())
      return client
    },
  }
}
