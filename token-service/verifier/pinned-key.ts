import { createPublicKey, type KeyObject } from 'node:crypto'
import { DomainError } from '#core/errors.ts'
import type { SignatureAlgorithm } from '../providers/provider.ts'
import { algorithmsOf } from './jwk-set.ts'

const mostKnown = 2_000
const known = new Map<string, KeyObject>()

/** The key that an organization wrote into its settings, as long as it is strong and of the algorithm. */
export function pinnedKey(pem: string, algorithm: SignatureAlgorithm): KeyObject {
  const key = known.get(pem) ?? remember(pem, readKey(pem))
  if (algorithmsOf(key).includes(algorithm)) return key
  throw unusable()
}

function remember(pem: string, key: KeyObject): KeyObject {
  if (known.size >= mostKnown) known.clear()
  known.set(pem, key)
  return key
}

function readKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem)
  } catch {
    throw unusable()
  }
}

function unusable(): DomainError {
  return new DomainError('record-damaged', 'the public key of the provider can not be used')
}
