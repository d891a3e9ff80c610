import { join } from 'node:path'
import { stringify } from 'yaml'
import { type MqttUser, mqttUserKind } from '#core/resources/mqtt-user.ts'
import { apiGroup, apiVersion } from '#core/resources/resource.ts'
import {
  isOwn,
  type NewUser,
  ownLabel,
  type SpecChange,
  type UserHome,
  type UserPage,
  type UserResources,
  UserResourcesError,
} from '../token-service/users/user-resources.ts'
import { withChange } from '../token-service/users/wanted-user.ts'
import type { ManifestDirectory } from './manifest-directory.ts'
import type { StandaloneHost } from './standalone-host.ts'

const folder = 'users-api'
const header = '# Written by the Users API, which changes and deletes it.\n'

/** MqttUsers as manifests of the directory, in a folder of their own: one that lies elsewhere is somebody's own. */
export class ManifestUsers implements UserResources {
  readonly #manifests: ManifestDirectory
  readonly #host: StandaloneHost

  constructor(manifests: ManifestDirectory, host: StandaloneHost) {
    this.#manifests = manifests
    this.#host = host
  }

  async create({ namespace }: UserHome, { name, annotations, spec }: NewUser): Promise<MqttUser> {
    const metadata = { name, namespace, labels: { [ownLabel.name]: ownLabel.value }, annotations }
    const created = await this.#write(namespace, name, { metadata, spec }, (present) => {
      if (present !== undefined) throw new UserResourcesError('already-exists', undefined)
    })
    if (created !== undefined) return created
    await this.#write(namespace, name, undefined, () => {})
    throw new UserResourcesError('refused', undefined)
  }

  async get(home: UserHome, name: string): Promise<MqttUser | undefined> {
    const user = this.#host.get('MqttUser', home.namespace, name)
    return user !== undefined && this.#isOwn(user, home) ? user : undefined
  }

  async list(home: UserHome, limit: number, cursor: string | undefined): Promise<UserPage> {
    const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString()
    if (cursor !== undefined && !after.startsWith('user-')) throw new UserResourcesError('cursor', undefined)
    const rest = this.#host
      .list('MqttUser')
      .filter((user) => this.#isOwn(user, home) && user.metadata.name > after)
      .toSorted((left, right) => (left.metadata.name < right.metadata.name ? -1 : 1))
    const users = rest.slice(0, limit)
    const last = users.at(-1)
    if (last === undefined || rest.length === users.length) return { users }
    return { users, next: Buffer.from(last.metadata.name).toString('base64url') }
  }

  async change(user: MqttUser, change: SpecChange): Promise<MqttUser> {
    const { name, namespace, labels, annotations } = user.metadata
    const manifest = {
      metadata: { name, namespace, labels, annotations },
      spec: withChange(user.spec, change),
    }
    const changed = await this.#write(namespace, name, manifest, (present) => {
      const isSame = isThis(user, present) && present?.metadata.generation === user.metadata.generation
      if (!isSame) throw new UserResourcesError('conflict', undefined)
    })
    if (changed === undefined) throw new UserResourcesError('conflict', undefined)
    return changed
  }

  async remove(user: MqttUser): Promise<void> {
    const { namespace, name } = user.metadata
    await this.#write(namespace, name, undefined, (present) => {
      if (present !== undefined && !isThis(user, present)) throw new UserResourcesError('conflict', undefined)
    })
  }

  /** What is there then. */
  async #write(
    namespace: string,
    name: string,
    manifest: object | undefined,
    check: (present: MqttUser | undefined) => void,
  ): Promise<MqttUser | undefined> {
    const present = (): MqttUser | undefined => this.#host.get('MqttUser', namespace, name)
    const common = { apiVersion: `${apiGroup}/${apiVersion}`, kind: mqttUserKind.kind }
    const text = manifest && header + stringify({ ...common, ...manifest }, { aliasDuplicateObjects: false })
    try {
      await this.#manifests.write(fileOf(namespace, name), text, () => check(present()))
    } catch (error) {
      throw error instanceof UserResourcesError ? error : new UserResourcesError('unavailable', error)
    }
    return present()
  }

  #isOwn(user: MqttUser, home: UserHome): boolean {
    const { namespace, name } = user.metadata
    const file = this.#manifests.fileOf('MqttUser', namespace, name)
    // While it is being deleted, its file is gone.
    const isOurs = file === fileOf(namespace, name) || user.metadata.deletionTimestamp !== undefined
    return isOurs && isOwn(user, home)
  }
}

const fileOf = (namespace: string, name: string): string => join(folder, namespace, `${name}.yaml`)

const isThis = ({ metadata }: MqttUser, other: MqttUser | undefined): boolean =>
  other?.metadata.uid === metadata.uid && other.metadata.deletionTimestamp === undefined
