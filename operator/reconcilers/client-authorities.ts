import { readAuthorities } from '#core/organizations/client-authorities.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { ResourceHost } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'

const key = 'ca.crt'

export interface FoundAuthorities {
  readonly found: readonly string[]
  /** Why there is none although there should be: no certificate is believed then, and passwords are as before. */
  readonly refusal?: Readiness
}

export async function readClientAuthorities(
  host: Pick<ResourceHost, 'readSecret'>,
  { metadata, spec }: Organization,
): Promise<FoundAuthorities> {
  const name = spec.clientCASecretRef?.name
  if (name === undefined) return { found: [] }
  const secret = await host.readSecret(metadata.namespace, name)
  const pem = secret?.data[key]
  if (pem === undefined || pem === '') {
    const [reason, what] =
      secret === undefined
        ? (['SecretNotFound', ''] as const)
        : (['SecretKeyMissing', `the key ${key} of `] as const)
    const message = `${what}Secret ${name} of spec.clientCASecretRef is not there; nobody gets in by a certificate`
    return { found: [], refusal: notReady(reason, message) }
  }
  const read = readAuthorities(pem)
  if ('authorities' in read) return { found: read.authorities }
  const message = `${key} of Secret ${name} ${read.problem}; nobody gets in by a certificate`
  return { found: [], refusal: notReady('SecretUnusable', message) }
}
