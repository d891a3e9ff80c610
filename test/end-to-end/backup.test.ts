/**
 * The examples on a real API server, as Argo CD and Flux see them; then all of it in a fresh cluster, with new uids, no
 * owners and an empty Redis, by the commands of docs/backup.md.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resourceKinds } from '#core/resources/index.ts'
import { blockOf, readPage } from '../docs/page-blocks.ts'
import { shell } from '../docs/shell.ts'
import { findClientTools } from '../fixtures/kubernetes-tools.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type OperatorCluster, startOperatorCluster } from '../fixtures/operator-cluster.ts'

interface KubernetesObject {
  readonly kind: string
  readonly type?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly generation?: number
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly ownerReferences?: readonly { readonly uid: string }[]
  }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
  readonly data?: Readonly<Record<string, string>>
}

const examples = new URL('../../examples/', import.meta.url)
const kinds = Object.values(resourceKinds).map(({ plural }) => `${plural}.cloudsignal.app`)

async function readExamples(): Promise<readonly KubernetesObject[]> {
  const files = (await readdir(examples)).filter((name) => name.endsWith('.yaml')).toSorted()
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, examples), 'utf8')))
  return texts.flatMap((text) =>
    parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject),
  )
}

const nameOf = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`

describe.skipIf(whyNoControlPlane !== undefined)('the examples', () => {
  let first: OperatorCluster
  let second: OperatorCluster
  let objects: readonly KubernetesObject[]
  let directory: string

  beforeAll(async () => {
    objects = await readExamples()
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-backup-'))
    ;[first, second] = await Promise.all([startOperatorCluster(), startOperatorCluster()])
    await first.plane.kubectl(['create', 'namespace', 'globex'])
  }, 120_000)
  afterAll(async () => {
    await Promise.all([first?.stop(), second?.stop()])
    await rm(directory, { recursive: true, force: true })
  })

  const all = async ({ plane }: OperatorCluster, what: string): Promise<readonly KubernetesObject[]> => {
    const { stdout } = await plane.kubectl(['get', what, '--all-namespaces', '-o', 'json'])
    return (JSON.parse(stdout) as { items: readonly KubernetesObject[] }).items
  }
  /** Runs commands of the page, in one directory for all of them. */
  const follow = async ({ plane }: OperatorCluster, script: string): Promise<void> => {
    const { kubectl } = await findClientTools()
    const path = `${dirname(kubectl)}:${process.env['PATH']}`
    await shell(`cd '${directory}'\n${script}`, { PATH: path, KUBECONFIG: plane.kubeconfigPath })
  }
  const ready = async (cluster: OperatorCluster): Promise<void> => {
    for (const { kind, metadata } of objects) {
      await cluster.ready(kind.toLowerCase(), metadata.namespace ?? 'default', metadata.name, 'True Synced')
    }
  }

  test('hold every kind, are accepted, and become Ready as kstatus and a health check read it', async () => {
    expect(new Set(objects.map(({ kind }) => kind))).toEqual(new Set(Object.keys(resourceKinds)))
    await first.apply(...objects)
    first.startOperator()
    await ready(first)
    const found = await all(first, kinds.join(','))
    expect(found.map(nameOf).toSorted()).toEqual(objects.map(nameOf).toSorted())
    for (const { metadata, status } of found) {
      // kstatus: the status speaks of this generation, and Ready is the condition that it asks for.
      expect(status?.observedGeneration).toBe(metadata.generation)
      expect(status?.conditions?.filter(({ type }) => type === 'Ready')).toMatchObject([{ status: 'True' }])
      expect(status?.conditions?.map(({ type }) => type)).not.toContain('Reconciling')
    }
    await first.plane.kubectl(['wait', '--for=condition=Ready', '--timeout=5s', 'mqttuser/sensor-01'])
  })

  test('come back in a fresh cluster with every password, API key and short id', async () => {
    const secretsOf = async (cluster: OperatorCluster): Promise<Record<string, unknown>> => {
      const secrets = (await all(cluster, 'secrets')).filter(
        ({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] === 'cloudsignal-operator',
      )
      return Object.fromEntries(secrets.map((secret) => [nameOf(secret), secret.data]))
    }
    const before = await secretsOf(first)
    expect(Object.keys(before)).toHaveLength(5)
    const records = await first.store.list('user', 'org_k7xm4pqr2n5t')

    const { blocks } = await readPage('backup.md')
    await follow(first, blockOf(blocks, 'save'))
    await follow(second, blockOf(blocks, 'restore'))
    second.startOperator()
    await ready(second)

    expect(await secretsOf(second)).toEqual(before)
    const uids = async (cluster: OperatorCluster): Promise<(string | undefined)[]> =>
      (await all(cluster, kinds.join(','))).map(({ metadata }) => metadata.uid)
    const old = new Set(await uids(first))
    expect((await uids(second)).some((uid) => old.has(uid))).toBe(false)
    // Each Secret goes with its object again.
    const owned = (await all(second, 'secrets')).filter(
      ({ metadata }) => metadata.ownerReferences !== undefined,
    )
    expect(owned.map(nameOf).toSorted()).toEqual(Object.keys(before).toSorted())
    const after = await second.store.list('user', 'org_k7xm4pqr2n5t')
    expect([...after.keys()].toSorted()).toEqual([...records.keys()].toSorted())
    for (const [name, { verifiers, access }] of records) {
      expect(after.get(name)).toMatchObject({ verifiers, access })
    }
  })
})
