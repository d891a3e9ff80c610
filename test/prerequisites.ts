/**
 * Makes ready what the tests need beside node_modules: servers and clients of the distribution, kube-apiserver,
 * kubectl and helm. As root on Debian it installs what is missing; otherwise it says what to install.
 * Under a second when all is there.
 */
import { execFile, spawn } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { findOnPath, prepareClientTools, prepareControlPlane } from './fixtures/kubernetes-tools.ts'

const run = promisify(execFile)

interface Requirement {
  readonly program: string
  /** Debian's. */
  readonly package: string
  readonly why: string
  readonly leastMajor?: number
}

const requirements: readonly Requirement[] = [
  { program: 'redis-server', package: 'redis-server', why: 'the stores run on it', leastMajor: 7 },
  { program: 'mosquitto_pub', package: 'mosquitto-clients', why: 'a second MQTT client' },
  { program: 'mosquitto_sub', package: 'mosquitto-clients', why: 'a second MQTT client' },
  { program: 'unzip', package: 'unzip', why: 'it unpacks kubectl and helm' },
]
/** Only for a control plane of our own; without it, tests on a real API server are skipped. */
const etcd: Requirement = {
  program: 'etcd',
  package: 'etcd-server',
  why: 'kube-apiserver keeps its objects in it',
}

const say = (line: string): void => console.log(`prerequisites: ${line}`)

/** False when tests can not run; it has said why. */
export async function prepareTests(): Promise<boolean> {
  const hasControlPlane = Boolean(process.env['KUBECONFIG_TEST'] || process.env['KUBEBUILDER_ASSETS'])
  const wanted = hasControlPlane ? requirements : [...requirements, etcd]
  const absent = await withProblems(wanted)
  if (absent.length > 0 && (await canInstall())) await install(absent.map(([requirement]) => requirement))
  const left = absent.length > 0 ? await withProblems(wanted) : []
  for (const [requirement, problem] of left) {
    say(`${problem} (${requirement.why}); as root: apt-get install ${requirement.package}`)
  }
  const blocking = left.filter(([requirement]) => requirement !== etcd)
  if (blocking.length > 0) return false
  const tools = await prepareClientTools()
  if (tools !== undefined) say(tools.reason)
  const controlPlane = await prepareControlPlane(say)
  if (controlPlane.kind === 'missing') {
    say(`TESTS ON A REAL API SERVER WILL BE SKIPPED. ${controlPlane.reason}`)
  }
  return tools === undefined
}

async function withProblems(
  wanted: readonly Requirement[],
): Promise<readonly (readonly [Requirement, string])[]> {
  const judged = await Promise.all(wanted.map(async (one) => [one, await problemOf(one)] as const))
  return judged.filter((pair): pair is readonly [Requirement, string] => pair[1] !== undefined)
}

async function problemOf({ program, leastMajor }: Requirement): Promise<string | undefined> {
  const path = await findOnPath(program)
  if (path === undefined) return `${program} is missing`
  if (leastMajor === undefined) return undefined
  const { stdout } = await run(path, ['--version'])
  const version = /v=(\d+)/.exec(stdout)?.[1]
  return Number(version) >= leastMajor
    ? undefined
    : `${program} ${leastMajor} or newer is needed, this is ${stdout.trim()}`
}

async function canInstall(): Promise<boolean> {
  return process.getuid?.() === 0 && (await findOnPath('apt-get')) !== undefined
}

/** Installs packages and starts none of their services. */
async function install(missing: readonly Requirement[]): Promise<void> {
  const packages = [...new Set(missing.map((requirement) => requirement.package))]
  say(`installing ${packages.join(' ')} by apt-get`)
  const policy = '/usr/sbin/policy-rc.d'
  const isOurs = await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' }).then(
    () => true,
    () => false,
  )
  try {
    await apt(['update', '-qq'])
    await apt(['install', '-qq', '-y', '--no-install-recommends', ...packages])
  } catch (error) {
    say(error instanceof Error ? error.message : String(error))
  } finally {
    if (isOurs) await rm(policy, { force: true })
  }
}

async function apt(parameters: readonly string[]): Promise<void> {
  const child = spawn('apt-get', parameters, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = `${output}${chunk.toString()}`.slice(-2000)
    })
  }
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`apt-get ${parameters[0]} failed:\n${output}`)
}

if (import.meta.main) process.exitCode = (await prepareTests()) ? 0 : 1
