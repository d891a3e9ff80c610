import { stringify } from 'yaml'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ManifestUsers } from '../../standalone/manifest-users.ts'
import { describeUserResources } from '../contracts/user-resources.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, someManifests } from './manifests-fixture.ts'

const home = { namespace: 'default', organization: 'acme' }

async function someUsers() {
  const files = await someManifests({ 'organization.yaml': anOrganization('acme') })
  const { manifests, host } = await files.open()
  return { files, host, resources: new ManifestUsers(manifests, host) }
}

describeUserResources('a manifest directory', async () => {
  const { files, host, resources } = await someUsers()
  return {
    resources,
    home,
    async declare(name, labels, spec) {
      const object = {
        apiVersion: 'cloudsignal.app/v1alpha1',
        kind: 'MqttUser',
        metadata: { name, labels },
        spec,
      }
      await files.write(`${name}.yaml`, stringify(object))
      await eventually('it is there', () => host.get('MqttUser', 'default', name) !== undefined)
    },
  }
})

test('what can not be written is unavailable, and nothing of it is there', async () => {
  const { files, resources, host } = await someUsers()
  await mkdir(join(files.directory, 'users-api'))
  // Where a folder is to be, something else is: also for root, who may write everywhere.
  await files.write('users-api/default', '')
  await chmod(join(files.directory, 'users-api/default'), 0o400)
  const spec = { organizationRef: { name: 'acme' }, username: 'ada' }
  const creation = resources.create(home, { name: 'user-ada', annotations: {}, spec })
  await expect(creation).rejects.toMatchObject({ failure: 'unavailable' })
  expect(host.list('MqttUser')).toEqual([])
})
