import { badCredential, must, neverReceives, refusalIn, refusalOf, soon, type Step } from './step.ts'

export const expiryStep: Step = {
  title: 'A credential ends with its time, and so does its connection',
  async run(stage, tell) {
    const seconds = 4
    // The provider short-lived has bindToTokenExpiry: no credential outlives its identity token.
    const credential = await stage.signIn('carol', { lifeSeconds: seconds }, 'short-lived')
    must(credential.expires_in <= seconds, `it lives ${credential.expires_in} seconds`)
    const alice = await stage.connect(await stage.signIn('alice'), 'tls', 5)
    const carol = await stage.connect(credential, 'tls', 5)
    await carol.subscribe('announcements/#')
    tell.did(`carol is connected with a credential for ${credential.expires_in} seconds, and waits, idle`)
    await soon(() => carol.isClosed, 'an expired credential stayed connected', (seconds + 3) * 1000)
    tell.did(`her time is over: ${carol.goodbye}`)
    tell.refused(
      'carol coming back with it',
      await refusalOf(
        stage.connect(credential, 'wss', 4),
        badCredential,
        'an expired credential was accepted',
      ),
    )
    must(!alice.isClosed, 'a credential that is still good was closed as well')
    tell.did('alice, whose hour is not over, stays')
  },
}

export const revocationStep: Step = {
  title: 'A credential that is revoked is dead at once',
  async run(stage, tell) {
    const revoked = await stage.signIn('bob')
    const bob = await stage.connect(revoked, 'tls', 5)
    const other = await stage.connect(await stage.signIn('bob'), 'wss', 5)
    const backend = await stage.connect(await stage.user('default/backend'), 'tls', 5)
    await bob.subscribe('announcements/#')
    await other.subscribe('announcements/#')
    const called = performance.now()
    const answer = await stage.revoke(revoked.id)
    must(answer.status === 204, `the revocation failed: ${answer.status} ${answer.code ?? ''}`)
    await soon(() => bob.isClosed, 'a revoked credential stayed connected')
    const milliseconds = Math.ceil(performance.now() - called)
    tell.did(`DELETE /v1/tokens/${revoked.id}: ${bob.goodbye}, ${milliseconds} ms after the call`)
    await backend.publish('announcements/today', 'after the revocation')
    await soon(() => other.hasReceived('after the revocation'), 'another credential of bob went too')
    await neverReceives(bob, 'after the revocation', 'a revoked client received a message')
    tell.did('his other credential goes on')
    tell.refused(
      'bob coming back with the revoked one',
      await refusalOf(stage.connect(revoked, 'tls', 4), badCredential, 'a revoked credential was accepted'),
    )
    tell.refused(
      'revoking it once more',
      refusalIn(await stage.revoke(revoked.id), 404, 'credential_not_found', 'it was there a second time'),
    )
  },
}

export const deletionStep: Step = {
  title: 'Deleting a user from its manifest closes its connection',
  async run(stage, tell) {
    const sensorUser = await stage.user('default/sensor-01')
    const sensor = await stage.connect(sensorUser, 'tls', 5)
    const backend = await stage.connect(await stage.user('default/backend'), 'wss', 4)
    await sensor.subscribe('devices/sensor_01/#')
    await backend.publish('devices/sensor_01/command', 'blink')
    await soon(() => sensor.hasReceived('blink'), 'the sensor did not hear the backend')
    tell.did(`${sensorUser.username} is connected and hears the backend`)
    await stage.edit('5-users.yaml', (text) => text.slice(text.indexOf('---') + 4))
    await soon(() => sensor.isClosed, 'a deleted user stayed connected')
    tell.did(`its document is cut out of 5-users.yaml: ${sensor.goodbye}`)
    tell.refused(
      'the sensor coming back',
      await refusalOf(stage.connect(sensorUser, 'tls', 5), badCredential, 'a deleted user was let in'),
    )
    must(!backend.isClosed, 'another user of the same file was closed as well')
    tell.did('the backend, in the same file, stays')
  },
}
