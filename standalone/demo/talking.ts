import { badCredential, must, neverReceives, notAuthorized, refusalOf, soon, type Step } from './step.ts'

export const accessStep: Step = {
  title: 'The access list decides what each of them may do',
  async run(stage, tell) {
    const alice = await stage.connect(await stage.signIn('alice'), 'tls', 5)
    const bob = await stage.connect(await stage.signIn('bob', { alg: 'ES256' }), 'wss', 4)
    await alice.subscribe('users/alice/#')
    await alice.publish('users/alice/notes', 'a note to myself')
    await soon(() => alice.hasReceived('a note to myself'), 'alice did not get her own message')
    tell.did('alice publishes and subscribes in users/alice/#, which the list calls users/{user_id}/#')

    tell.refused(
      'alice subscribing to users/bob/#',
      await refusalOf(alice.subscribe('users/bob/#'), notAuthorized, 'alice may listen to bob'),
    )
    tell.refused(
      'alice subscribing to everything',
      await refusalOf(alice.subscribe('#'), notAuthorized, 'alice may listen to everything'),
    )
    await bob.subscribe('users/bob/#')
    tell.refused(
      'alice publishing to users/bob/notes',
      await refusalOf(alice.publish('users/bob/notes', 'hello bob'), notAuthorized, 'alice may write to bob'),
    )
    tell.refused(
      'alice writing into her own inbox, which a rule denies',
      await refusalOf(
        alice.publish('users/alice/inbox/1', 'from myself'),
        notAuthorized,
        'a deny did not win',
      ),
    )
    // 3.1.1 knows no refusal of a publish: the message goes nowhere.
    await bob.publish('users/alice/notes', 'hello alice')
    await bob.publish('users/bob/notes', 'hello myself')
    await soon(() => bob.hasReceived('hello myself'), 'bob did not get his own message')
    await neverReceives(alice, 'hello alice', 'bob may write to alice')
    must(!bob.hasReceived('hello bob'), 'a refused message was delivered')
    tell.refused('bob publishing to users/alice/notes with MQTT 3.1.1', 'acknowledged and dropped')
  },
}

export const permanentUserStep: Step = {
  title: 'A permanent user reaches those who signed in',
  async run(stage, tell) {
    const alice = await stage.connect(await stage.signIn('alice'), 'tls', 5)
    const bob = await stage.connect(await stage.signIn('bob', { alg: 'ES256' }), 'wss', 4)
    const backend = await stage.connect(await stage.user('default/backend'), 'tls', 4)
    await alice.subscribe('users/alice/#')
    await alice.subscribe('announcements/#')
    await bob.subscribe('users/bob/#')
    await bob.subscribe('announcements/#')
    await backend.publish('users/alice/inbox/1', 'your order has shipped')
    await soon(() => alice.hasReceived('your order has shipped'), 'alice did not hear the backend')
    tell.did('backend → users/alice/inbox/1: alice receives "your order has shipped"')
    await neverReceives(bob, 'your order has shipped', 'bob received what was for alice')
    tell.refused('bob seeing it', 'not his topic')
    await backend.publish('announcements/today', 'lunch at noon')
    await soon(
      () => alice.hasReceived('lunch at noon') && bob.hasReceived('lunch at noon'),
      'an announcement did not reach both',
    )
    tell.did('backend → announcements/today: alice (MQTT 5, TLS) and bob (3.1.1, WebSocket) receive it')
  },
}

export const isolationStep: Step = {
  title: 'A second organization with the same names never meets the first',
  async run(stage, tell) {
    const clientId = 'the-same-client-id'
    const acmeUser = await stage.user('default/sensor-01')
    const globexUser = await stage.user('globex/sensor-01')
    const acme = await stage.connect(acmeUser, 'tls', 5, { clientId })
    const globex = await stage.connect(globexUser, 'tls', 5, { clientId })
    await acme.subscribe('devices/sensor_01/#')
    await globex.subscribe('devices/sensor_01/#')
    await acme.publish('devices/sensor_01/state', 'of acme', true)
    await globex.publish('devices/sensor_01/state', 'of globex')
    await soon(
      () => acme.hasReceived('of acme') && globex.hasReceived('of globex'),
      'a message did not reach its own organization',
    )
    must(!acme.isClosed && !globex.isClosed, 'one took over the session of the other')
    tell.did(`${acmeUser.username} and ${globexUser.username}, both "${clientId}", are connected at a time`)
    await neverReceives(globex, 'of acme', 'globex received a message of acme')
    await neverReceives(acme, 'of globex', 'acme received a message of globex')
    tell.refused('messages across: each receives its own on devices/sensor_01/state', 'another organization')
    const [late, atHome] = [
      await stage.connect(globexUser, 'wss', 4),
      await stage.connect(acmeUser, 'wss', 4),
    ]
    await late.subscribe('devices/sensor_01/#')
    await atHome.subscribe('devices/sensor_01/#')
    await soon(
      () => atHome.hasReceived('of acme'),
      'a retained message did not wait for its own organization',
    )
    await neverReceives(late, 'of acme', 'globex received a retained message of acme')
    tell.refused("acme's retained message at globex", 'another organization')
    tell.refused(
      'the password of one at the other',
      await refusalOf(
        stage.connect({ ...globexUser, password: acmeUser.password }, 'tls', 5),
        badCredential,
        'organizations share passwords',
      ),
    )
  },
}
