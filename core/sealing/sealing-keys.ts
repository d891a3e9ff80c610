import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto'

/**
 * Secrets that programs have to read again, such as what a provider signs with, as they lie in Redis: AES-256-GCM under a
 * key that is not there. Text: `v1.<key id>.<base64url of nonce, ciphertext and tag>`. `context` says whose secret it is
 * and what for, and is part of what is authenticated: moved to another place it can not be opened.
 */
export interface SealingKeys {
  /** Under the first key. */
  seal(secret: string, context: string): string
  /** Undefined for what none of the keys has sealed, or not for this context. */
  open(sealed: string, context: string): string | undefined
  /** Whether it was sealed under the first key: otherwise it should be sealed anew. */
  isCurrent(sealed: string): boolean
}

const keyText = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/
const nonceBytes = 12
const tagBytes = 16
const algorithm = 'aes-256-gcm'
const parts = /^v1\.([0-9a-f]{16})\.([A-Za-z0-9_-]+)$/

/**
 * Each text is a key of 32 bytes in base64. New secrets are sealed under the first, the others only open: to rotate, put a
 * new one first, and take the old one away once everything was sealed anew. Undefined when one of them is no key.
 */
export function sealingKeys(texts: readonly string[]): SealingKeys | undefined {
  const keys = texts.map((text) => Buffer.from(text, 'base64'))
  const [first] = keys
  if (first === undefined || !texts.every((text) => keyText.test(text))) return undefined
  const byId = new Map(keys.map((key) => [idOf(key), key]))
  const current = idOf(first)
  return {
    seal(secret, context) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, first, nonce, { authTagLength: tagBytes })
      cipher.setAAD(Buffer.from(context))
      const body = [nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]
      return `v1.${current}.${Buffer.concat(body).toString('base64url')}`
    },
    open(sealed, context) {
      const [, id = '', text = ''] = parts.exec(sealed) ?? []
      const key = byId.get(id)
      const body = Buffer.from(text, 'base64url')
      if (key === undefined || body.length < nonceBytes + tagBytes) return undefined
      return opened(key, body, context)
    },
    isCurrent: (sealed) => parts.exec(sealed)?.[1] === current,
  }
}

/** Of a file: a key a line; empty ones and those that begin with # are none. */
export function parseSealingKeys(text: string): SealingKeys | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  return sealingKeys(lines.filter((line) => line !== '' && !line.startsWith('#')))
}

function opened(key: Buffer, body: Buffer, context: string): string | undefined {
  const decipher = createDecipheriv(algorithm, key, body.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(context))
  decipher.setAuthTag(body.subarray(-tagBytes))
  try {
    const text = decipher.update(body.subarray(nonceBytes, -tagBytes))
    return Buffer.concat([text, decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** Says which key it is, and nothing of it. */
const idOf = (key: Buffer): string => hash('sha256', key, 'hex').slice(0, 16)
