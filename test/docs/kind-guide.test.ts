/** docs/install/kind.md and docs/upgrade.md, followed on a whole cluster: the pods really run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWholeCluster, type WholeCluster, whyNoWholeCluster } from '../fixtures/whole-cluster.ts'
import { type GuideShell, openGuideShell } from './guide-shell.ts'
import { blockOf, readPage } from './page-blocks.ts'

const limit = 180_000

describe.skipIf(whyNoWholeCluster !== undefined)('on a cluster, whoever follows', () => {
  let cluster: WholeCluster
  let shell: GuideShell
  const run = (script: string): Promise<string> =>
    shell.run(script).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await cluster.logsOf('cloudsignal', '')}`, { cause: error })
    })
  const follow = async (page: string, name: string): Promise<string> =>
    run(blockOf((await readPage(page)).blocks, name))

  beforeAll(async () => {
    cluster = await startWholeCluster()
    shell = await openGuideShell((await readPage('install/kind.md')).blocks, cluster.plane.kubeconfigPath)
  }, limit)
  afterAll(async () => {
    await shell?.remove()
    await cluster?.stop()
  }, limit)

  test(
    'the page about kind has it installed and tested, and a user whose messages arrive',
    async () => {
      await follow('install/kind.md', 'certificate')
      await follow('install/kind.md', 'install')
      // Of the log itself the node of this cluster knows nothing.
      const check = blockOf((await readPage('install/kind.md')).blocks, 'check').replace(' --logs', '')
      expect(await run(check)).toMatch(/Phase:\s+Succeeded/)
      await follow('install/kind.md', 'users')
      const connect = blockOf((await readPage('install/kind.md')).blocks, 'connect')
      const port = (await cluster.addressOf('cloudsignal', 'cloudsignal-broker', 8883)).split(':')[1]
      expect(await run(connect.replace('-p 8883', `-p ${port}`))).toBe('on\n')
    },
    limit,
  )

  test('the page about Argo CD names the manager of what the operator writes into objects', async () => {
    const { blocks } = await readPage('install/argo-cd.md')
    const [, named] =
      /managedFieldsManagers: \[(\S+)\]/.exec(blockOf(blocks, 'ignore-differences.yaml')) ?? []
    const managers = await run(
      `kubectl get organization acme --show-managed-fields -o jsonpath='{.metadata.managedFields[*].manager}'`,
    )
    expect(managers.split(' ')).toContain(named)
  })

  test(
    'the page about upgrades goes forth and back again, and keeps the kinds with what is of them',
    async () => {
      expect(await follow('upgrade.md', 'upgrade')).toContain('Upgrade complete')
      await follow('upgrade.md', 'kinds')
      expect(await follow('upgrade.md', 'rollback')).toContain('Rollback was a success')
      await follow('upgrade.md', 'keep-kinds')
      expect(await run('helm -n cloudsignal get manifest cloudsignal')).not.toContain(
        'CustomResourceDefinition',
      )
      expect(await run('kubectl get mqttusers -o name')).toContain('mqttuser.cloudsignal.app/sensor-01')
    },
    limit,
  )
})
