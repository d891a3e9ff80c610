import type { Clock } from '#core/clock.ts'
import { post } from '../connection.ts'
import { IdentityIssuer } from './identity-issuer.ts'
import { connectMqtt, type MqttAccount, type MqttConnection, type MqttPlace } from './mqtt-connection.ts'
import type { Objects } from './objects.ts'
import { runSteps, type Step } from './steps.ts'
import { person, throwAwayObjects } from './throw-away-objects.ts'

export interface CheckedInstallation {
  /** Name of the throw-away objects. */
  readonly name: string
  readonly mqtts: string
  readonly wss: string
  readonly serverName: string
  readonly trusted: readonly string[]
  /** URL of the token service. */
  readonly tokens: string
  readonly timeoutMs: number
}

interface Credential {
  readonly id: string
  readonly username: string
  readonly password: string
}

/** From a resource to a message, by every way that users take. Leaves nothing behind, whatever happens. */
export async function checkInstallation(
  installation: CheckedInstallation,
  objects: Objects,
  now: Clock,
  print: (text: string) => void,
): Promise<boolean> {
  const { name, timeoutMs } = installation
  const issuer = new IdentityIssuer(now)
  const manifests = throwAwayObjects(name, issuer.publicKey)
  const opened: MqttConnection[] = []
  const connect = async (kind: MqttPlace['kind'], account: MqttAccount): Promise<MqttConnection> => {
    const { serverName, trusted } = installation
    const connection = await connectMqtt(
      { kind, address: installation[kind], serverName, trusted, timeoutMs },
      account,
    )
    opened.push(connection)
    return connection
  }
  const remove = (): Promise<void> => objects.removeAll(manifests.toReversed())
  const call = <Answer>(path: string, body: object): Promise<Answer> =>
    post({ url: installation.tokens, apiKey }, path, body)

  let user: MqttAccount
  let apiKey: string
  let credential: Credential
  let live: MqttConnection
  const steps: readonly Step[] = [
    { what: 'nothing is left of an earlier check', run: remove },
    {
      what: 'the operator makes an organization, an access list, a user, a provider and an API key',
      async run() {
        for (const manifest of manifests) await objects.create(manifest)
        for (const manifest of manifests) await objects.untilReady(manifest)
        const secret = await objects.secret(`${name}-mqtt`)
        user = { username: secret['username'] ?? '', password: secret['password'] ?? '' }
        apiKey = (await objects.secret(`${name}-api-key`))['key'] ?? ''
      },
    },
    {
      what: 'the user signs in over TLS, by the password of its Secret, and hears what it publishes',
      async run() {
        await (await connect('mqtts', user)).hears(`devices/${name}/check`)
      },
    },
    {
      what: 'the same over secure WebSocket',
      async run() {
        await (await connect('wss', user)).hears(`devices/${name}/check`)
      },
    },
    {
      what: 'a wrong password is refused, and so is the topic of another device',
      async run() {
        await refused(connect('mqtts', { ...user, password: 'wrong' }), 'a wrong password was let in')
        const connection = await connect('mqtts', user)
        await refused(connection.hears('devices/another/check'), 'a topic that no rule allows was allowed')
      },
    },
    {
      what: 'an identity token is exchanged for a credential, and a forged one is refused',
      async run() {
        credential = await call('/v1/token/exchange', { provider: name, token: issuer.token(person) })
        const forged = { provider: name, token: new IdentityIssuer(now).token(person) }
        await refused(call('/v1/token/exchange', forged), 'a token that somebody else signed was exchanged')
      },
    },
    {
      what: 'the credential signs in as the person it is, and as nobody else',
      async run() {
        live = await connect('mqtts', credential)
        await live.hears(`users/${person}/check`)
        await refused(live.hears('users/user_another/check'), 'the topic of another person was allowed')
      },
    },
    {
      what: 'once it is revoked its connection ends, and it signs in no more',
      async run() {
        const ended = live.ended
        await call('/v1/revocations', { id: credential.id })
        await ended
        await refused(connect('mqtts', credential), 'a revoked credential was let in')
      },
    },
  ]
  const held = await runSteps(steps, print)
  for (const connection of opened) connection.close()
  const removed = await runSteps([{ what: 'all of it is removed again', run: remove }], print)
  print(held && removed ? 'It works.' : 'It does NOT work: see what FAILED above.')
  return held && removed
}

async function refused(attempt: Promise<unknown>, otherwise: string): Promise<void> {
  const succeeded = await attempt.then(
    () => true,
    () => false,
  )
  if (succeeded) throw new Error(otherwise)
}
