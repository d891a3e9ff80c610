import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../fixtures/eventually.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

interface Program {
  readonly child: ChildProcess
  /** All that it printed so far, on both streams. */
  output(): string
  /** Resolves with its exit code. */
  ended: Promise<number | null>
}

function start(...args: readonly string[]): Program {
  const child = spawn(process.execPath, [join(root, 'standalone/main.ts'), ...args], { cwd: root })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  }
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, output: () => output, ended: once(child, 'exit').then(([code]) => code as number | null) }
}

/** A copy of the examples whose provider trusts the issuer on that port. */
async function aPlace(issuerPort: number): Promise<{ manifests: string; args: readonly string[] }> {
  const directory = await temporaryDirectory()
  const manifests = join(directory, 'manifests')
  await cp(join(root, 'examples'), manifests, { recursive: true })
  const provider = join(manifests, '3-identity-provider.yaml')
  await writeFile(provider, (await readFile(provider, 'utf8')).replaceAll('8087', String(issuerPort)))
  const ports = ['mqtts', 'wss', 'http', 'probe'].flatMap((name) => [`--${name}-port`, '0'])
  const state = join(directory, 'state')
  const args = [...ports, '--issuer-port', String(issuerPort), '--manifests', manifests, '--state', state]
  return { manifests, args }
}

/** The lines that follow a comment which begins so. */
function linesAfter(output: string, comment: string): string {
  const [, rest = ''] = output.split(`# ${comment}`)
  return rest.split('\n')[1] ?? ''
}

/** As pasted into a shell; what is printed until it ends or the time is up. */
async function pasted(script: string, seconds = 10): Promise<string> {
  const { stdout } = await run('timeout', [String(seconds), 'bash', '-c', script], { cwd: root }).catch(
    (error: { stdout: string; stderr: string }) => ({ stdout: `${error.stdout}${error.stderr}` }),
  )
  return stdout
}

async function started(): Promise<{ program: Program; manifests: string }> {
  const { manifests, args } = await aPlace(await freePort())
  const program = start(...args)
  await eventually('the start', () => program.output().includes('... and used'), 15_000)
  return { program, manifests }
}

describe('npm start', () => {
  let hasMosquitto = false
  beforeAll(async () => {
    hasMosquitto = await run('which', ['mosquitto_sub']).then(
      () => true,
      () => false,
    )
  })

  it(
    'prints lines for mosquitto, MQTT.js and curl that work when pasted',
    { timeout: 60_000 },
    async (context) => {
      if (!hasMosquitto) context.skip('mosquitto-clients is not installed')
      const { program } = await started()
      const output = program.output()
      const listen = linesAfter(output, 'Listen with mosquitto')
      const publish = linesAfter(output, 'Publish to it')
      const heard = pasted(`${listen} -C 1 -W 8`)
      const retry = `for n in 1 2 3 4 5 6; do sleep 0.5; ${publish}; done`
      await pasted(retry)
      expect(await heard).toBe('devices/sensor_01/hello hello\n')
      expect(await pasted(linesAfter(output, 'The same with MQTT.js'))).toBe(
        'devices/sensor_01/from-mqtt-js hello\n',
      )

      const signIn = linesAfter(output, 'Sign in as alice')
      const exchange = linesAfter(output, '... exchanged')
      const use = linesAfter(output, '... and used')
      const answer = await pasted([signIn, exchange, `${use} -E; echo connected $?`].join('\n'))
      expect(answer).toMatch(/"username":"tmp_\w+@org_k7xm4pqr2n5t"/)
      expect(answer).toMatch(/connected 0\n$/)
      const wrong = use.replace('.password', '.username')
      expect(await pasted([signIn, exchange, `${wrong} -E; echo connected $?`].join('\n'))).toMatch(
        /connected [1-9]/,
      )
    },
  )

  it('prints the credentials of a user that is added, and problems of its manifest before', async () => {
    const { program, manifests } = await started()
    const user = (name: string) =>
      `apiVersion: cloudsignal.app/v1alpha1\nkind: MqttUser\nmetadata: { name: new }\nspec: { organizationRef: { ${name}: acme }, accessListRefs: [{ name: devices }] }\n`
    await writeFile(join(manifests, 'new.yaml'), user('nam'))
    await eventually('the problem', () => program.output().includes('spec.organizationRef.nam: is no field'))
    await writeFile(join(manifests, 'new.yaml'), user('name'))
    await eventually('the credentials', () =>
      /default\/new +new@org_k7xm4pqr2n5t {2}cs_mp_/.test(program.output()),
    )
  })

  it.for(['SIGINT', 'SIGTERM'] as const)('ends cleanly on %s', async (signal) => {
    const { program } = await started()
    program.child.kill(signal)
    expect(await program.ended).toBe(0)
  })

  it('says which port is taken, who to ask and which option to use, and exits with 1', async () => {
    const port = await freePort()
    const blocker = createServer().listen(port, '127.0.0.1')
    onTestFinished(() => void blocker.close())
    const { args } = await aPlace(await freePort())
    const program = start(...args, '--http-port', String(port))
    expect(await program.ended).toBe(1)
    expect(program.output()).toContain(`port ${port} of 127.0.0.1 is taken by another program`)
    expect(program.output()).toContain(`ss -ltnp 'sport = :${port}'`)
    expect(program.output()).toContain('npm start -- --http-port')
  })

  it('says how a damaged state is mended, and exits with 1', async () => {
    const { args } = await aPlace(await freePort())
    const state = args.at(-1) ?? ''
    await cp(join(root, 'examples'), state, { recursive: true })
    await writeFile(join(state, 'secrets.json'), '[')
    const program = start(...args, '--no-demo-issuer')
    expect(await program.ended).toBe(1)
    expect(program.output()).toMatch(
      /secrets\.json is damaged and was left as it is: restore it, or delete it/,
    )
  })

  it('lists every problem of its command line, and exits with 2', async () => {
    const program = start('--prt', '--http-port', 'x')
    expect(await program.ended).toBe(2)
    expect(program.output()).toMatch(/--prt: is no option.*\n.*--http-port="x": give a port number/)
  })

  it('prints its help and exits with 0', async () => {
    const program = start('--help')
    expect(await program.ended).toBe(0)
    expect(program.output()).toContain('--no-demo-issuer')
  })
})
