import { readAuthorities } from '#core/organizations/client-authorities.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { ResourceHost } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'
import { addressOf } from './references.ts'
import { secretMissing, valueIn } from './secret-value.ts'

const key = 'ca.crt'

export interface FoundAuthorities {
  readonly found: readonly string[]
  /** Why there is none although there should be: no certificate is believed then, and passwords are as before. */
  readonly refusal?: Readiness
}

export async function readClientAuthorities(
  host: Pick<ResourceHost, 'readSecret'>,
  organization: Organization,
): Promise<FoundAuthorities> {
  const { metadata, spec } = organization
  const name = spec.clientCASecretRef?.name
  if (name === undefined) return { found: [] }
  const secret = await host.readSecret(metadata.namespace, name, addressOf('Organization', organization))
  if (secret === undefined) return none(secretMissing(metadata.namespace, name, 'spec.clientCASecretRef'))
  const { text: pem, refusal } = valueIn(secret, key)
  if (refusal !== undefined) return none(refusal)
  const read = readAuthorities(pem)
  if ('authorities' in read) return { found: read.authorities }
  return none(notReady('SecretUnusable', `${key} of Secret ${name} ${read.problem}`))
}

function none(refusal: Readiness): FoundAuthorities {
  const message = `${refusal.message}; nobody gets in by a certificate`
  return { found: [], refusal: { ...refusal, message } }
}
