import type { NewSecret, ResourceHost, StoredSecret } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'
import type { ResourceAddress } from './reconciler.ts'

type Data = Readonly<Record<string, string>>

export type GeneratedSecret =
  | { readonly secret: StoredSecret; readonly refusal?: undefined }
  | { readonly secret?: undefined; readonly refusal: Readiness }

/**
 * The Secret that was generated for an object, made now where there is none. One of that name which belongs to
 * anybody else is neither read nor written.
 */
export async function ensureSecret(
  host: ResourceHost,
  wanted: Omit<NewSecret, 'data'>,
  data: () => Data | Promise<Data>,
): Promise<GeneratedSecret> {
  const { namespace, name, owner } = wanted
  const present = await host.readSecret(namespace, name, readerOf(wanted))
  const secret = present ?? (await createAndRead(host, { ...wanted, data: await data() }))
  if (secret.ownerUid === owner.uid) return { secret }
  if (secret.restoredFor === `${owner.kind}/${owner.name}`) {
    return { secret: await host.adoptSecret(secret, owner) }
  }
  const message = `Secret ${name} is there and was not generated for this ${owner.kind}: remove it, or give another name`
  return { refusal: notReady('SecretConflict', message) }
}

async function createAndRead(host: ResourceHost, secret: NewSecret): Promise<StoredSecret> {
  const created = await host.createSecret(secret)
  if (created !== undefined) return created
  // Somebody was faster. What is there then decides, not what was to be written.
  const present = await host.readSecret(secret.namespace, secret.name, readerOf(secret))
  if (present === undefined) throw new Error(`Secret ${secret.name} went while it was being made`)
  return present
}

/** Whom a generated Secret is read for. */
export function readerOf({
  namespace,
  owner: { kind, name },
}: Pick<NewSecret, 'namespace' | 'owner'>): ResourceAddress {
  return { kind, namespace, name }
}
