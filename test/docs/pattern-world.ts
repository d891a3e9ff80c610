import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import type { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { describeProblem } from '#core/errors.ts'
import { localPartOf } from '#core/resources/mqtt-user.ts'
import { checkResource } from '#core/resources/check-resource.ts'
import type { AnyResource } from '#core/resources/index.ts'
import { startTestBroker, type TestBroker } from '../fixtures/broker.ts'
import type { Issuer } from '../fixtures/issuer.ts'
import { ReconcileWorld } from '../fixtures/reconcile-world.ts'
import { aResource } from '../fixtures/resources.ts'
import { type AppUnderTest, claimsOf, startApp } from '../token-service/app-under-test.ts'
import type { Pattern, Statement } from './guide.ts'

export interface Login {
  readonly username: string
  readonly password: string
  /** Who it is, as the explain API is asked. */
  readonly identity: Readonly<Record<string, string>>
}

/** Manifests of the guide as they are in a cluster: reconciled, with a broker and a token service on the records. */
export class PatternWorld {
  readonly service: AppUnderTest
  readonly broker: TestBroker
  /** A key that may explain. */
  readonly explainKey: string
  readonly #world: ReconcileWorld
  readonly #pattern: Pattern

  private constructor(world: ReconcileWorld, pattern: Pattern, service: AppUnderTest, broker: TestBroker) {
    this.#world = world
    this.#pattern = pattern
    this.service = service
    this.broker = broker
    this.explainKey = this.#keyOf('explainer')
  }

  static async start(base: readonly unknown[], pattern: Pattern): Promise<PatternWorld> {
    const world = new ReconcileWorld()
    const controlLog = new MemoryControlLog()
    const credentials = new MemoryCredentialStore(controlLog, Date.now)
    const identities = world.store as MemoryIdentityStore
    const service = await startApp({ identities, credentials, now: Date.now })
    for (const manifest of [...base, ...testers, ...pattern.manifests]) {
      await world.apply(resourceOf(manifest, service.issuer))
    }
    await world.store.markReady()
    const broker = await startTestBroker({ identities, credentials, controlLog })
    return new PatternWorld(world, pattern, service, broker)
  }

  /** Whoever a statement is about: a user, whom a request is for, or a person who signs in. */
  async login({ who, claims }: Pick<Statement, 'who' | 'claims'>): Promise<Login> {
    const user = this.#world.host.list('MqttUser').find((each) => localPartOf(each) === who)
    if (user !== undefined) {
      const { namespace, name } = user.metadata
      const { password = '' } = this.#world.host.secrets.get(`${namespace}/${name}-mqtt`)?.data ?? {}
      return { username: user.status?.username ?? '', password, identity: { kind: 'user', user: who } }
    }
    const request = this.#pattern.requests.get(who)
    const body = request ?? { provider: 'login', token: `<identity token of ${who}>` }
    const answer = await this.service.post(
      'agent_id' in body ? '/v1/tokens' : '/v1/token/exchange',
      { ...body, ...('token' in body ? { token: await this.#tokenFor(String(body['token']), claims) } : {}) },
      this.#keyOf(this.#ownKey() ?? 'exchanger'),
    )
    if (answer.status >= 300) throw new Error(`no credential for ${who}: ${answer.text}`)
    const { id, username, password } = answer.body as Record<string, string>
    return {
      username: username ?? '',
      password: password ?? '',
      identity: { kind: 'credential', credential: id ?? '' },
    }
  }

  async close(): Promise<void> {
    await this.broker.stop()
    await this.service.close()
  }

  /** Ready conditions of the pattern's objects that are not `True`. */
  notReady(): string[] {
    const { host } = this.#world
    return (['AccessList', 'ApiKey', 'IdentityProvider', 'MqttUser', 'Organization'] as const).flatMap(
      (kind) =>
        host
          .list(kind)
          .filter(
            ({ status }) =>
              status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') !== true,
          )
          .map(({ metadata }) => `${kind} ${metadata.name}`),
    )
  }

  #tokenFor(text: string, claims: Readonly<Record<string, string>>): Promise<string> {
    const [, sub = ''] = /^<identity token of (.+)>$/.exec(text) ?? []
    const { issuer } = this.service
    return issuer.sign({ ...claimsOf(issuer, Date.now()), sub, ...claims })
  }

  #ownKey(): string | undefined {
    const names = new Set(testers.map(({ metadata }) => metadata.name))
    return this.#world.host.list('ApiKey').find(({ metadata }) => !names.has(metadata.name))?.metadata.name
  }

  #keyOf(name: string): string {
    return this.#world.host.secrets.get(`default/${name}-api-key`)?.data['key'] ?? ''
  }
}

const own = { organizationRef: { name: 'acme' } } as const
/** What the tests need beside what the guide shows. */
const testers = [
  aResource('ApiKey', 'explainer', { ...own, type: 'secret', scopes: ['explain'] }),
  aResource('ApiKey', 'exchanger', { ...own, type: 'secret', scopes: ['exchange'] }),
  aResource('MqttUser', 'tester', {
    ...own,
    access: [{ effect: 'allow', actions: ['publish', 'subscribe'], topics: ['#'] }],
  }),
]

function resourceOf(manifest: unknown, issuer: Issuer): AnyResource {
  const { resource, problems } = checkResource(withIssuer(manifest, issuer))
  if (resource === undefined) throw new Error(problems.map(describeProblem).join('\n'))
  const { kind, metadata, spec } = resource
  return aResource(kind, metadata.name, spec as never, { namespace: metadata.namespace ?? 'default' })
}

/** The guide's issuer is the test's. */
function withIssuer(manifest: unknown, issuer: Issuer): unknown {
  return JSON.parse(JSON.stringify(manifest).replaceAll('https://login.acme.example', issuer.url))
}
