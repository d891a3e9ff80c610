import { startDemoIssuer } from '../demo-issuer.ts'
import { sampleKeys, sampleUsers } from '../samples.ts'
import { badCredential, must, refusalIn, refusalOf, soon, type Step } from './step.ts'

export const manifestsStep: Step = {
  title: 'Manifests become organizations, access lists, keys and users',
  async run(stage, tell) {
    const users = await sampleUsers(stage.standalone.host)
    must(users.length === 3, `3 users should be ready, there are ${users.length}`)
    for (const { username } of users) tell.did(`${username} is ready, with a generated password`)
    const [key] = await sampleKeys(stage.standalone.host)
    must(key?.secret.startsWith('cs_sk_') === true, 'an API key should have been generated')
    tell.did(`API key ${key.resource.metadata.name} is ready: ${key.secret.slice(0, 10)}…`)

    await stage.edit('5-users.yaml', (text) => text.replace('username: sensor_01', 'usrname: sensor_01'))
    await soon(
      () => stage.said.some((line) => line.includes('spec.usrname')),
      'a bad manifest went unnoticed',
    )
    const problem = stage.said.find((line) => line.includes('spec.usrname')) ?? ''
    tell.refused('a misspelt field', problem.slice(problem.indexOf('5-users.yaml')))
    await stage.edit('5-users.yaml', (text) => text.replace('usrname: sensor_01', 'username: sensor_01'))
    await soon(
      () => stage.said.includes('every manifest is right again'),
      'the mended manifest went unnoticed',
    )
    must((await sampleUsers(stage.standalone.host)).length === 3, 'a bad manifest should take nothing away')
  },
}

export const exchangeStep: Step = {
  title: 'Identity tokens are exchanged for MQTT credentials',
  async run(stage, tell) {
    for (const [person, alg] of [
      ['alice', 'RS256'],
      ['bob', 'ES256'],
    ] as const) {
      const credential = await stage.signIn(person, { alg })
      must(credential.username.endsWith('@org_k7xm4pqr2n5t'), 'the credential is of the wrong organization')
      tell.did(
        `${person}'s token (${alg}) → ${credential.username}, for ${credential.expires_in / 60} minutes`,
      )
    }
    const token = await stage.issuer.tokenFor('alice')
    const [head, payload = '', signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'bob' })).toString('base64url')
    tell.refused(
      'a token whose name was changed',
      refusalIn(
        await stage.exchange([head, forged, signature].join('.')),
        401,
        'invalid_signature',
        'a forged token was accepted',
      ),
    )
    const stranger = await startDemoIssuer({ port: 0 })
    try {
      const answer = await stage.exchange(await stranger.tokenFor('alice'))
      tell.refused(
        'a token of another issuer',
        refusalIn(answer, 401, 'issuer_mismatch', 'a stranger was trusted'),
      )
    } finally {
      await stranger.close()
    }
    tell.refused(
      'an exchange without an API key',
      refusalIn(await stage.exchange(token, { key: '' }), 401, 'invalid_api_key', 'no key was needed'),
    )
    const wrong = (await stage.apiKey()).replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'))
    tell.refused(
      'an exchange with a wrong API key',
      refusalIn(
        await stage.exchange(token, { key: wrong }),
        401,
        'invalid_api_key',
        'a wrong key was accepted',
      ),
    )
  },
}

export const connectStep: Step = {
  title: 'The credentials connect, over TLS and WebSocket, with MQTT 3.1.1 and 5',
  async run(stage, tell) {
    const credential = await stage.signIn('alice')
    for (const [over, version] of [
      ['tls', 5],
      ['tls', 4],
      ['wss', 5],
      ['wss', 4],
    ] as const) {
      const client = await stage.connect(credential, over, version)
      tell.did(`${stage.url(over)} with MQTT ${version === 4 ? '3.1.1' : '5'}`)
      client.close()
    }
    const wrong = { ...credential, password: (await stage.user('default/backend')).password }
    tell.refused(
      'a password of somebody else',
      await refusalOf(stage.connect(wrong, 'tls', 5), badCredential, 'a wrong password was accepted'),
    )
    const elsewhere = { ...credential, username: credential.username.replace(/@.*/, '@org_b4gq2n6wz5ya') }
    tell.refused(
      'the credential in another organization',
      await refusalOf(stage.connect(elsewhere, 'wss', 4), badCredential, 'organizations share credentials'),
    )
    tell.refused(
      'a client that does not trust our CA',
      await refusalOf(
        stage.connect(credential, 'tls', 5, { ca: '' }),
        /unable to verify/,
        'TLS did not protect',
      ),
    )
  },
}
