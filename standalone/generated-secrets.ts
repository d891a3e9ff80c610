import { Type } from 'typebox'
import type { NewSecret, StoredSecret } from '../operator/reconcilers/host.ts'
import { versionOf } from './secret-manifest.ts'
import type { StateDirectory } from './state-directory.ts'

const texts = Type.Record(Type.String(), Type.String())
const SecretSchema = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  type: Type.String(),
  owner: Type.Object({ kind: Type.String(), name: Type.String(), uid: Type.String() }),
  labels: texts,
  annotations: texts,
  data: texts,
})
const file = 'secrets.json'
const remedy = 'restore it, or delete it: every generated password and API key is then made anew'

/** The Secrets that reconcilers generated, in the state directory; they go with the object they are for. */
export class GeneratedSecrets {
  readonly #state: StateDirectory
  #secrets: readonly NewSecret[]

  private constructor(state: StateDirectory, secrets: readonly NewSecret[]) {
    this.#state = state
    this.#secrets = secrets
  }

  static async open(state: StateDirectory): Promise<GeneratedSecrets> {
    const stored = await state.readJson(file, Type.Array(SecretSchema), remedy)
    return new GeneratedSecrets(state, (stored ?? []) as NewSecret[])
  }

  get(namespace: string, name: string): StoredSecret | undefined {
    const found = this.#secrets.find((secret) => secret.namespace === namespace && secret.name === name)
    return found === undefined ? undefined : storedSecret(found)
  }

  /** Resolves with undefined when there is one of that name, otherwise once it is on disk. */
  async create(secret: NewSecret): Promise<StoredSecret | undefined> {
    if (this.get(secret.namespace, secret.name) !== undefined) return undefined
    await this.#replace([...this.#secrets, secret])
    return storedSecret(secret)
  }

  /** Rejects when it is another by now; resolves once it is on disk. */
  async update(secret: StoredSecret, data: Readonly<Record<string, string>>): Promise<void> {
    const { namespace, name, version } = secret
    if (this.get(namespace, name)?.version !== version)
      throw new Error(`Secret ${name} was changed meanwhile`)
    await this.#replace(
      this.#secrets.map((one) =>
        one.namespace === namespace && one.name === name ? { ...one, data: { ...one.data, ...data } } : one,
      ),
    )
  }

  /** Drops those whose owner is no more. */
  async keepOwnedBy(isLiving: (uid: string) => boolean): Promise<void> {
    const kept = this.#secrets.filter(({ owner }) => isLiving(owner.uid))
    if (kept.length < this.#secrets.length) await this.#replace(kept)
  }

  async #replace(secrets: readonly NewSecret[]): Promise<void> {
    // At once, so that two creations of one name at a time do not both succeed.
    const before = this.#secrets
    this.#secrets = secrets
    try {
      await this.#state.writeJson(file, secrets)
    } catch (error) {
      this.#secrets = before
      throw error
    }
  }
}

function storedSecret({ namespace, name, owner, data }: NewSecret): StoredSecret {
  return { namespace, name, version: versionOf(data), ownerUid: owner.uid, data }
}
