/**
 * Makes ready what the tests need beside node_modules: servers and clients of the distribution, kube-apiserver,
 * kubectl and helm, packages that only they use. As root on Debian it installs what is missing; otherwise it says what to install.
 * Under a second when all is there.
 */
import { provide, type Requirement } from './fixtures/debian-packages.ts'
import { prepareClientTools, prepareControllers, prepareControlPlane } from './fixtures/kubernetes-tools.ts'
import { prepareForeignKinds } from './fixtures/foreign-kinds.ts'
import { prepareImage } from './fixtures/image.ts'
import { prepareNodePackages } from './fixtures/node-packages.ts'

const requirements: readonly Requirement[] = [
  { program: 'redis-server', package: 'redis-server', why: 'the stores run on it', leastMajor: 7 },
  { program: 'mosquitto_pub', package: 'mosquitto-clients', why: 'a second MQTT client' },
  { program: 'mosquitto_sub', package: 'mosquitto-clients', why: 'a second MQTT client' },
  { program: 'jq', package: 'jq', why: 'the commands of docs/backup.md use it' },
  { program: 'unzip', package: 'unzip', why: 'it unpacks kubectl and helm' },
]
/** Tests that look at pages are skipped without it. */
const chromium: Requirement = {
  program: 'chromium',
  package: 'chromium',
  why: 'pages are looked at in it',
}
/** The trigger of a page is tried out in it; skipped without it. */
const postgres: Requirement = {
  program: 'psql',
  package: 'postgresql',
  why: 'a trigger that is documented runs in it',
}
/** Tests with Prometheus, and with promtool that comes with it, are skipped without it. */
const prometheus: Requirement = {
  program: 'prometheus',
  package: 'prometheus',
  why: 'it reads the metrics, and its promtool the rules',
}
/** The chart is not installed on a whole cluster without it. */
const iproute: Requirement = {
  program: 'ip',
  package: 'iproute2',
  why: 'a node of a cluster, and each pod on it, has a network of its own',
}
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
  // By itself: where a distribution has no such package, apt-get installs nothing of what it is asked for with it.
  const optional = [
    ...(await provide([chromium], say)),
    ...(await provide([postgres], say)),
    ...(await provide([prometheus], say)),
    ...(await provide([iproute], say)),
  ]
  const left = [...(await provide(wanted, say)), ...optional]
  for (const [, problem] of left) say(problem)
  const spared = [chromium, etcd, postgres, prometheus, iproute]
  const blocking = left.filter(([requirement]) => !spared.includes(requirement))
  if (blocking.length > 0) return false
  const tools = await prepareClientTools()
  if (tools !== undefined) say(tools.reason)
  await prepareNodePackages(say)
  await prepareImage(say)
  const controlPlane = await prepareControlPlane(say)
  if (controlPlane.kind === 'missing') {
    say(`TESTS ON A REAL API SERVER WILL BE SKIPPED. ${controlPlane.reason}`)
  }
  const controllers = hasControlPlane ? undefined : await prepareControllers(say)
  if (controllers !== undefined) say(`TESTS THAT INSTALL THE CHART WILL BE SKIPPED. ${controllers.reason}`)
  await prepareForeignKinds(say)
  return tools === undefined
}

if (import.meta.main) process.exitCode = (await prepareTests()) ? 0 : 1
