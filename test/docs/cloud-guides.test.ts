/** docs/install/cloud.md and argo-cd.md: their commands and files, judged by a real API server and a real Redis. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { parse, parseAllDocuments } from 'yaml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PodSpec, RenderedObject } from '../charts/render.ts'
import { findForeignKinds } from '../fixtures/foreign-kinds.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { type GuideShell, openGuideShell } from './guide-shell.ts'
import { blockOf, readPage } from './page-blocks.ts'

const foreignKinds = process.env['KUBECONFIG_TEST'] ? undefined : await findForeignKinds()
const whyNot = whyNoControlPlane ?? (foreignKinds === undefined ? 'no kinds of cert-manager' : undefined)

const cloud = await readPage('install/cloud.md')
const argo = await readPage('install/argo-cd.md')
const dryRun = ['apply', '--server-side', '--dry-run=server', '-f', '-']

/** `<secret> <key>` of all that the pods of these objects need, and whether there has to be one. */
function neededSecrets(objects: readonly RenderedObject[]): readonly string[] {
  const pods = objects.filter(({ kind }) => kind === 'Deployment')
  return pods.flatMap((deployment) => {
    const { containers, volumes = [] } = (deployment.spec as unknown as { template: { spec: PodSpec } })
      .template.spec
    const keys = containers.flatMap(({ env }) => env.map(({ valueFrom }) => valueFrom?.secretKeyRef))
    return [
      ...keys.flatMap((ref) => (ref === undefined ? [] : [`${ref.name} ${ref.key}`])),
      ...volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret.secretName])),
    ]
  })
}

describe.skipIf(whyNot !== undefined)('with a real API server, whoever follows', () => {
  let plane: ControlPlane
  beforeAll(async () => {
    plane = await startControlPlane()
    for (const file of foreignKinds ?? []) await plane.kubectl(['apply', '--server-side', '-f', file])
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'])
  })
  afterAll(() => plane?.stop())

  const accept = async (text: string): Promise<readonly RenderedObject[]> => {
    const objects = parseAllDocuments(text)
      .map((document) => document.toJS() as RenderedObject | null)
      .filter((object) => object !== null)
    const { stdout, stderr } = await plane.kubectl(dryRun, text)
    expect(stderr).toBe('')
    expect(stdout.trim().split('\n')).toHaveLength(objects.length)
    return objects
  }
  const secretsIn = async (namespace: string): Promise<readonly string[]> => {
    const { stdout } = await plane.kubectl(['get', 'secrets', '--namespace', namespace, '-o', 'json'])
    const { items } = JSON.parse(stdout) as { readonly items: readonly RenderedObject[] }
    return items.flatMap(({ metadata, data = {} }) => [
      metadata.name,
      ...Object.keys(data).map((key) => `${metadata.name} ${key}`),
    ])
  }

  describe('the page about clouds', () => {
    let shell: GuideShell
    beforeAll(async () => {
      shell = await openGuideShell(cloud.blocks, plane.kubeconfigPath)
      for (const name of ['passwords', 'users']) await shell.run(blockOf(cloud.blocks, name))
    })
    afterAll(() => shell?.remove())

    const render = (...files: readonly string[]): Promise<string> => {
      const install = blockOf(cloud.blocks, 'install').split(' --values ')[0] ?? ''
      const values = files.flatMap((file) => ['--values', file])
      return shell.run([install.replace(' install ', ' template '), ...values].join(' '))
    }

    test.each(['eks.yaml', 'gke.yaml', 'aks.yaml'])(
      'has objects that are accepted, with %s',
      async (file) => {
        const objects = await accept(await render('values.yaml', 'redis.yaml', file))
        const service = objects.find(
          ({ kind, metadata }) => kind === 'Service' && metadata.name.endsWith('broker'),
        )
        expect(service?.spec).toMatchObject({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
        const made = ['cloudsignal-broker-tls', 'cloudsignal-sealing', 'cloudsignal-redis-ca']
        const there = [...(await secretsIn('cloudsignal')), ...made]
        expect(neededSecrets(objects).filter((secret) => !there.includes(secret))).toEqual([])
        expect(neededSecrets(objects)).toContain('cloudsignal-redis tokenService')
      },
    )

    test('installs it by its own command', async () => {
      expect(await shell.run(blockOf(cloud.blocks, 'install'))).toContain('STATUS: deployed')
      const { stdout } = await plane.kubectl(['get', 'certificate', '-n', 'cloudsignal', '-o', 'json'])
      const [certificate] = (JSON.parse(stdout) as { readonly items: readonly RenderedObject[] }).items
      const issuer = await accept(blockOf(cloud.blocks, 'issuer.yaml'))
      expect(certificate?.spec).toMatchObject({
        dnsNames: ['mqtt.example.com'],
        issuerRef: { kind: 'ClusterIssuer', name: issuer[0]?.metadata.name },
      })
    })

    test('is told of a value that the chart does not have', async () => {
      await expect(shell.run('helm template x charts/cloudsignal --set broker.tls.secret=x')).rejects.toThrow(
        /secret/,
      )
    })

    describe('on its Redis', () => {
      let redis: RedisServer
      beforeAll(async () => {
        redis = await startRedisServer('--aclfile', join(shell.directory, 'users.acl'))
      })
      afterAll(() => redis?.stop())

      const passwords = async (): Promise<Readonly<Record<string, string>>> => {
        const data = await shell.run(
          'kubectl -n cloudsignal get secret cloudsignal-redis -o jsonpath={.data}',
        )
        const entries = Object.entries(JSON.parse(data) as Readonly<Record<string, string>>)
        return Object.fromEntries(
          entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
        )
      }
      /** What Redis says to FLUSHALL, which nobody may. */
      const refusalOf = async (username: string, password = ''): Promise<string> => {
        const client = new Redis(redis.port)
        const said = await client
          .auth(username, password)
          .then(() => client.flushall())
          .catch((error: Error) => error.message)
        client.disconnect()
        return said
      }

      test('each program signs in by its password in the Secret, with the least that it needs', async () => {
        const { redis: values } = parse(blockOf(cloud.blocks, 'redis.yaml')) as {
          redis: { users: Record<string, { name: string; passwordKey: string }> }
        }
        const given = await passwords()
        for (const { name, passwordKey } of Object.values(values.users)) {
          expect(given[passwordKey]).toMatch(/^[0-9a-f]{48}$/)
          expect(await refusalOf(name, given[passwordKey])).toMatch(/^NOPERM .*flushall/)
          expect(await refusalOf(name, 'another')).toMatch(/^WRONGPASS/)
        }
      })

      test('a password is changed as the page about security says: both count, then only the new one', async () => {
        const { blocks } = await readPage('security.md')
        const url = `REDIS_URL=redis://127.0.0.1:${redis.port}\n`
        const user = 'cloudsignal-broker'
        const { broker: old } = await passwords()
        await shell.run(url + blockOf(blocks, 'redis-new'))
        const { broker: changed } = await passwords()
        expect(changed).not.toBe(old)
        expect(await refusalOf(user, old)).toMatch(/^NOPERM/)
        expect(await refusalOf(user, changed)).toMatch(/^NOPERM/)
        await shell.run(`OLD=${old}\n${url}${blockOf(blocks, 'redis-old')}`)
        expect(await refusalOf(user, old)).toMatch(/^WRONGPASS/)
        expect(await refusalOf(user, changed)).toMatch(/^NOPERM/)
      })
    })
  })

  describe('the page about Argo CD', () => {
    let shell: GuideShell
    beforeAll(async () => {
      await plane.kubectl(['delete', 'namespace', 'cloudsignal', '--wait=false', '--ignore-not-found'])
      shell = await openGuideShell(argo.blocks, plane.kubeconfigPath)
    })
    afterAll(() => shell?.remove())

    test('gets the same objects by each rendering, all of them accepted', async () => {
      const template =
        `helm template cloudsignal charts/cloudsignal --namespace argo --values values.yaml --skip-tests
        $(kubectl api-versions | sed 's/^/--api-versions /' | tr '\n' ' ')`.replaceAll(/\n\s+/g, ' ')
      await plane.kubectl(['create', 'namespace', 'argo'])
      const text = await shell.run(template)
      expect(await shell.run(template)).toBe(text)
      const objects = await accept(text)
      const secrets = blockOf(argo.blocks, 'secrets').replaceAll(/(?<=namespace |-n )cloudsignal\b/g, 'argo')
      await shell.run(secrets.replace('kubectl create namespace argo\n', ''))
      const there = [...(await secretsIn('argo')), 'cloudsignal-broker-tls']
      expect(neededSecrets(objects).filter((secret) => !there.includes(secret))).toEqual([])
      await expect(
        shell.run(template.replace('values.yaml', 'values.yaml --set sealing.secretName=')),
      ).rejects.toThrow(/sealing.secretName must name/)
    })

    test('has Applications that lead to the chart, and to namespaces that are told apart', async () => {
      const [chart, messaging] = ['chart-application.yaml', 'messaging-application.yaml'].map(
        (name) =>
          parse(blockOf(argo.blocks, name)) as {
            readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
            readonly spec: {
              readonly destination: { readonly namespace: string }
              readonly sources?: readonly { readonly path?: string }[]
            }
          },
      )
      expect(chart?.spec.sources?.[0]?.path).toBe('charts/cloudsignal')
      expect(await readFile(`${chart?.spec.sources?.[0]?.path}/Chart.yaml`, 'utf8')).toContain(
        'name: cloudsignal',
      )
      const waves = [chart, messaging].map((one) =>
        Number(one?.metadata.annotations['argocd.argoproj.io/sync-wave']),
      )
      expect(waves[0]).toBeLessThan(waves[1] ?? 0)
      expect(chart?.spec.destination.namespace).not.toBe(messaging?.spec.destination.namespace)
    })
  })
})
