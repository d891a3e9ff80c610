import { type Access, compileAccess } from '#core/access/access.ts'
import { fillForAllow } from '#core/access/identity-variables.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { AnyResource, ResourceOf } from '#core/resources/index.ts'
import { localPartOf, type MqttUser } from '#core/resources/mqtt-user.ts'
import { keySecretName } from '../operator/reconcilers/secret-names.ts'
import type { StandaloneHost } from './standalone-host.ts'

/** A permanent user who can connect, with what a person needs to do so. */
export interface SampleUser {
  readonly resource: MqttUser
  readonly username: string
  /** Absent where the user brings a verifier only. */
  readonly password?: string
}

/** Somebody who listens, and somebody who may speak to them. */
export interface SampleConversation {
  readonly listener: SampleUser
  readonly speaker: SampleUser
  readonly filter: string
  readonly topic: string
}

/** An exchange that will succeed for `person`, and what the credential may then listen to. */
export interface SampleExchange {
  readonly provider: string
  readonly apiKey: string
  readonly person: string
  readonly filter?: string
}

/** Every ready user, in the order of the manifests. */
export async function sampleUsers(host: StandaloneHost): Promise<readonly SampleUser[]> {
  const users: SampleUser[] = []
  for (const resource of host.list('MqttUser')) {
    const username = resource.status?.username
    if (!isReady(resource) || username === undefined) continue
    const password = await passwordOf(host, resource)
    users.push({ resource, username, ...(password === undefined ? {} : { password }) })
  }
  return users
}

/** API keys that are ready, with their secrets. */
export async function sampleKeys(
  host: StandaloneHost,
): Promise<readonly { readonly resource: ResourceOf['ApiKey']; readonly secret: string }[]> {
  const keys = []
  for (const resource of host.list('ApiKey')) {
    const stored = await host.readSecret(resource.metadata.namespace, keySecretName(resource))
    const secret = stored?.data['key']
    if (isReady(resource) && secret !== undefined) keys.push({ resource, secret })
  }
  return keys
}

/** A pair that works by the access lists as they are; undefined where nobody can be heard. */
export function sampleConversation(
  host: StandaloneHost,
  users: readonly SampleUser[],
): SampleConversation | undefined {
  const able = users.filter(({ password }) => password !== undefined)
  for (const listener of able) {
    for (const filter of listenableTo(host, listener)) {
      const topic = filter.replace(/#$/, 'hello').replaceAll('+', 'x')
      const speaker = able.find((user) => user !== listener && maySay(host, user, listener, topic))
      if (speaker !== undefined) return { listener, speaker, filter, topic }
    }
  }
  return undefined
}

/** Undefined where no provider trusts the issuer, or no key may exchange for its organization. */
export async function sampleExchange(
  host: StandaloneHost,
  issuer: string,
  person: string,
): Promise<SampleExchange | undefined> {
  const keys = await sampleKeys(host)
  for (const provider of host.list('IdentityProvider')) {
    if (!isReady(provider) || provider.spec.oidc?.issuer !== issuer) continue
    const key = keys.find(
      ({ resource }) => isSameOrganization(resource, provider) && resource.spec.scopes.includes('exchange'),
    )
    if (key === undefined) continue
    const names = (provider.spec.accessListRefs ?? []).map(({ name }) => name)
    const filters = listenable(rulesOf(host, provider.metadata.namespace, names), { user_id: person })
    const filter = filters[0] === undefined ? {} : { filter: filters[0] }
    return { provider: provider.metadata.name, apiKey: key.secret, person, ...filter }
  }
  return undefined
}

function isReady({ status }: AnyResource): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

async function passwordOf(
  host: StandaloneHost,
  { metadata, spec, status }: MqttUser,
): Promise<string | undefined> {
  const own = spec.passwordSecretRef
  const name = own?.name ?? status?.credentialsSecret?.name
  const secret = name === undefined ? undefined : await host.readSecret(metadata.namespace, name)
  return secret?.data[own?.key ?? 'password']
}

function isSameOrganization(left: ResourceOf['ApiKey'], right: ResourceOf['IdentityProvider']): boolean {
  return (
    left.metadata.namespace === right.metadata.namespace &&
    left.spec.organizationRef.name === right.spec.organizationRef.name
  )
}

type Rules = ResourceOf['AccessList']['spec']['rules']

function rulesOf(host: StandaloneHost, namespace: string, names: readonly string[]): Rules {
  return names.flatMap((name) => host.get('AccessList', namespace, name)?.spec.rules ?? [])
}

function rulesOfUser(host: StandaloneHost, { metadata, spec }: MqttUser): Rules {
  const namespace = spec.organizationRef.namespace ?? metadata.namespace
  const own = (spec.accessListRefs ?? []).map(({ name }) => name)
  const defaults =
    host.get('Organization', namespace, spec.organizationRef.name)?.spec.defaultAccessListRefs ?? []
  const hasOwn = own.length > 0 || (spec.access ?? []).length > 0
  return [
    ...rulesOf(host, namespace, hasOwn ? own : defaults.map(({ name }) => name)),
    ...(spec.access ?? []),
  ]
}

const attributesOf = (user: MqttUser): Attributes => ({ username: localPartOf(user) })

function listenableTo(host: StandaloneHost, { resource }: SampleUser): readonly string[] {
  return listenable(rulesOfUser(host, resource), attributesOf(resource))
}

function listenable(rules: Rules, attributes: Attributes): readonly string[] {
  const access = compile(rules, attributes)
  return rules
    .filter(({ effect, actions }) => effect === 'allow' && actions.includes('subscribe'))
    .flatMap(({ topics }) => topics.map((topic) => fillForAllow(topic, attributes)))
    .filter((filter) => filter !== undefined)
    .filter((filter) => access.subscribe(filter).allowed)
}

function maySay(host: StandaloneHost, speaker: SampleUser, listener: SampleUser, topic: string): boolean {
  const [from, to] = [speaker.username, listener.username].map((name) => name.slice(name.lastIndexOf('@')))
  const access = compile(rulesOfUser(host, speaker.resource), attributesOf(speaker.resource))
  return from === to && access.publish(topic, 0, false).allowed
}

const compile = (rules: Rules, attributes: Attributes): Access =>
  compileAccess([{ list: 'sample', rules }], attributes)
