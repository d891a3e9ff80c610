import type { KeyObject } from 'node:crypto'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { SignatureAlgorithm } from '../providers/provider.ts'
import { claimOf, optionalText } from './claims.ts'
import type { JsonObject } from './compact-token.ts'
import { parseCertificates, parseJwkSet } from './jwk-set.ts'
import { JwksCache, type JwksCacheOptions } from './jwks-cache.ts'
import type { KeySource } from './key-source.ts'
import { pinnedKey } from './pinned-key.ts'
import {
  type DocumentCounts,
  type DocumentKey,
  type DocumentWatch,
  RemoteDocuments,
} from './remote-documents.ts'
import { sharedSecretOf } from './shared-secret.ts'

export interface IssuerKeysOptions extends Omit<JwksCacheOptions, 'watch' | 'parse'> {
  /** Opens secrets that issuers share with us. */
  readonly sealing?: SealingKeys | undefined
  readonly watch?: (document: IssuerDocument) => DocumentWatch
}

export const issuerDocuments = ['jwks', 'discovery'] as const
export type IssuerDocument = (typeof issuerDocuments)[number]

/** What an issuer says of itself. */
interface Discovery {
  readonly jwksUri: string
  readonly userinfoEndpoint: string | undefined
}

/** Finds the key that a token names, wherever its issuer keeps it. */
export class IssuerKeys {
  readonly #jwks: JwksCache
  readonly #certificates: JwksCache
  readonly #discovery: RemoteDocuments<Discovery>
  readonly #sealing: SealingKeys | undefined

  constructor({ watch, sealing, ...options }: IssuerKeysOptions) {
    this.#sealing = sealing
    const watching = (document: IssuerDocument) => (watch === undefined ? {} : { watch: watch(document) })
    const keys = { ...options, ...watching('jwks') }
    this.#jwks = new JwksCache({ ...keys, parse: parseJwkSet })
    this.#certificates = new JwksCache({ ...keys, parse: parseCertificates })
    this.#discovery = new RemoteDocuments({
      ...options,
      parse: discoveryOf,
      ...watching('discovery'),
    })
  }

  counts(document: IssuerDocument): DocumentCounts {
    if (document === 'discovery') return this.#discovery.counts()
    const [keys, certificates] = [this.#jwks.counts(), this.#certificates.counts()]
    return { known: keys.known + certificates.known, failing: keys.failing + certificates.failing }
  }

  async find(
    scope: string,
    source: KeySource,
    kid: string,
    algorithm: SignatureAlgorithm,
  ): Promise<KeyObject> {
    if ('publicKey' in source) return pinnedKey(source.publicKey, algorithm)
    if ('certificatesUri' in source) {
      return this.#certificates.find({ scope, url: source.certificatesUri }, kid, algorithm)
    }
    const url =
      'jwksUri' in source ? source.jwksUri : (await this.#discover(scope, source.discoveryOf)).jwksUri
    return this.#jwks.find({ scope, url }, kid, algorithm)
  }

  /** The secret that the issuer signs with by HS256; undefined where there is none. Throws `secret-sealed`. */
  sharedSecret(organization: OrganizationId, record: ProviderRecord): KeyObject | undefined {
    return sharedSecretOf(this.#sealing, organization, record)
  }

  /** Rejects with ProviderUnavailable when the issuer's discovery document can not be had. */
  async userinfoEndpoint(scope: string, issuer: string): Promise<string> {
    const { userinfoEndpoint } = await this.#discover(scope, issuer)
    if (userinfoEndpoint !== undefined) return userinfoEndpoint
    throw new Error('the discovery document has no userinfo_endpoint')
  }

  #discover(scope: string, issuer: string): Promise<Discovery> {
    // OpenID Connect Discovery §4.1: a terminating slash is removed before the path is appended.
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    return this.#discovery.get({ scope, url, issuer })
  }
}

function discoveryOf(text: string, { issuer }: DocumentKey): Discovery {
  const document: unknown = JSON.parse(text)
  if (typeof document !== 'object' || document === null)
    throw new Error('the discovery document is no object')
  // OpenID Connect Discovery §4.3: the issuer MUST be identical.
  if (claimOf(document as JsonObject, 'issuer') !== issuer) {
    throw new Error('the discovery document is of another issuer')
  }
  const uri = claimOf(document as JsonObject, 'jwks_uri')
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('the discovery document has no jwks_uri')
  return { jwksUri: uri, userinfoEndpoint: optionalText(document as JsonObject, 'userinfo_endpoint') }
}
