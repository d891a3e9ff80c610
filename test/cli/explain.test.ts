import { spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { allow } from '../fixtures/broker.ts'
import { anOrganizationId as org, aCredential, aUser } from '../fixtures/records.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { type AppUnderTest, startApp } from '../token-service/app-under-test.ts'

/** The command as a process, against the service as it listens. */
let service: AppUnderTest
let url: string
const key = generateSecret('sk')

beforeAll(async () => {
  service = await startApp()
  await service.putKey(key, { scopes: ['explain'] })
  const lists = ['devices']
  await service.identities.put('access-list', org, 'devices', {
    rules: [allow(['publish', 'subscribe'], 'devices/{username}/#', 'rooms/{claims.room}/{client_id}')],
  })
  const access = { ...emptyPolicy, lists }
  await service.identities.put('user', org, 'sensor_01', aUser('sensor_01', 'x', { access }))
  await service.identities.put('user', org, 'off', aUser('off', 'x', { access, suspended: true }))
  await service.credentials.create(org, 'tmp_1', aCredential('tmp_1', 'x', { access }), 60)
  await service.app.listen({ port: 0, host: '127.0.0.1' })
  url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`
})
afterAll(() => service.close())

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function cloudsignal(args: readonly string[], over: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const environment = {
    CLOUDSIGNAL_CLI_URL: url,
    CLOUDSIGNAL_CLI_API_KEY: key,
    CLOUDSIGNAL_REDIS_URL: 'ours',
    ...over,
  }
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['cli/main.ts', ...args], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const explain = (line: string, over: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  cloudsignal(['explain', ...line.split(' ')], over)

describe('cloudsignal explain', () => {
  test('says what is allowed, by which rule, and as whom', async () => {
    expect(await explain('--user sensor_01 --publish devices/sensor_01/t --qos 1 --retain')).toEqual({
      code: 0,
      stdout: [
        'Allowed by rules[0] of devices (devices/{username}/#).',
        '',
        '  {username} is "sensor_01"',
        `  {org_id} is "${org}"`,
        `  {org_short_id} is "${org}"`,
        '',
      ].join('\n'),
      stderr: '',
    })
  })

  test('says what is not allowed, and what comes near, with another exit code', async () => {
    const { code, stdout } = await explain('--user sensor_01 --subscribe devices/sensor_02/#')
    expect(code).toBe(1)
    expect(stdout).toContain(
      'Denied: no rule of the identity itself allows it.\n\n' +
        '  rules[0] of devices allows devices/{username}/#, and username is "sensor_01".\n',
    )
  })

  test('asks of a credential, and of somebody who does not exist, with a client id', async () => {
    expect(await explain('--credential tmp_1 --publish devices/tmp_1/t')).toMatchObject({ code: 0 })
    const somebody = '--list devices --attribute claims.room=a=b --client-id c --publish rooms/a=b/c'
    expect(await explain(somebody)).toMatchObject({ code: 0 })
    expect(await explain(`${somebody}/x`)).toMatchObject({ code: 1 })
  })

  test('says when nobody gets so far', async () => {
    const { code, stdout } = await explain('--user off --publish devices/off/t')
    expect(code).toBe(1)
    expect(stdout).toContain('It can not connect, though: the user is suspended.')
  })

  test('prints the whole answer as JSON', async () => {
    const { code, stdout } = await explain('--user sensor_01 --publish a --json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ allowed: false, reason: 'no-rule', access_lists: ['devices'] })
  })

  test('says what the service refuses, and never the key', async () => {
    const unknown = await explain('--user nobody --publish a')
    expect(unknown).toMatchObject({ code: 2, stdout: '' })
    expect(unknown.stderr).toBe('cloudsignal explain: The organization has no such user\n')
    const wrong = generateSecret('sk')
    const refused = await explain('--user sensor_01 --publish a', { CLOUDSIGNAL_CLI_API_KEY: wrong })
    expect(refused.stderr).toBe('cloudsignal explain: The API key is missing or not valid\n')
    const invalid = await explain('--list x --attribute nme=1 --publish a')
    expect(invalid.stderr).toContain('attributes: use username, ')
  })

  test('says that nobody is there', async () => {
    const nobody = `127.0.0.1:${await freePort()}`
    const { code, stderr } = await explain('--user a --publish a', {
      CLOUDSIGNAL_CLI_URL: `http://${nobody}`,
    })
    expect(code).toBe(2)
    expect(stderr).toContain(`cloudsignal explain: ${nobody} does not answer: connect ECONNREFUSED`)
  })

  test('says all that is wrong with its command line, and asks nobody', async () => {
    const line = '--user a --credential b --publish a --subscribe b --retain --qos 3 --attribute x word'
    const { code, stderr } = await explain(line, { CLOUDSIGNAL_CLI_URL: 'http://127.0.0.1:1' })
    expect(code).toBe(2)
    expect(stderr.trimEnd().split('\n').slice(1)).toEqual([
      '  word: remove it (--help lists all)',
      '  --user: give one of --user, --credential, or --list with --attribute',
      '  --publish: give either --publish or --subscribe',
      '  --retain: remove it, or give --publish',
      '  --qos="3": give 0, 1 or 2',
      '  --attribute="x": give NAME=VALUE',
    ])
  })

  test('says what is wrong with its settings', async () => {
    const { code, stderr } = await explain('--user a --publish a', {
      CLOUDSIGNAL_CLI_API_KEY: '',
      CLOUDSIGNAL_CLI_ULR: 'x',
    })
    expect(code).toBe(2)
    expect(stderr).toContain('CLOUDSIGNAL_CLI_API_KEY: must be set')
    expect(stderr).toContain('CLOUDSIGNAL_CLI_ULR: is no setting; did you mean CLOUDSIGNAL_CLI_URL?')
  })

  test('explains itself', async () => {
    const { code, stdout } = await explain('--help')
    expect(code).toBe(0)
    for (const text of ['--client-id', 'Exit code', 'CLOUDSIGNAL_CLI_API_KEY']) expect(stdout).toContain(text)
    expect(await cloudsignal([])).toMatchObject({ code: 0, stdout: expect.stringContaining('explain') })
    expect(await cloudsignal(['explane'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('explane'),
    })
  })
})
