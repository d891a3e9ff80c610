import { createHmac, hash, randomBytes } from 'node:crypto'
import { secretOf } from '#core/credentials/secret.ts'

/** On an MqttUser that was created with an Idempotency-Key: what the same request is known by. */
export const idempotencyAnnotation = 'cloudsignal.app/idempotency'

/** A request to create, by what makes it the same as an earlier one. */
export interface IdempotentRequest {
  /** The secret of the API key it came with. */
  readonly apiKey: string
  /** The Idempotency-Key. */
  readonly key: string
  /** Of the user to be. */
  readonly username: string
  /** What was asked for, as text. */
  readonly content: string
}

/** What a repeated request is to be answered: the password, or why it is not the same request. */
export type Repetition = { readonly password: string } | { readonly mismatch: 'other-key' | 'other-content' }

/**
 * The password of a user that may be asked for again: it follows from the request, so that the same one leads to the
 * same password without anybody keeping it. Whoever wants to find it needs the API key, the Idempotency-Key and the
 * salt.
 */
export function beginIdempotent(request: IdempotentRequest): {
  readonly password: string
  readonly annotation: string
} {
  const salt = randomBytes(32).toString('base64url')
  return { password: passwordOf(salt, request), annotation: annotationOf(salt, request) }
}

/** What `annotation`, that of the user which is there, says of the request. */
export function repeatIdempotent(annotation: string | undefined, request: IdempotentRequest): Repetition {
  const [salt = '', key = '', content = ''] = annotation?.split('.') ?? []
  const [, ownKey, ownContent] = annotationOf(salt, request).split('.')
  if (salt === '' || key !== ownKey) return { mismatch: 'other-key' }
  return content === ownContent ? { password: passwordOf(salt, request) } : { mismatch: 'other-content' }
}

function passwordOf(salt: string, { apiKey, key, username }: IdempotentRequest): string {
  const bytes = createHmac('sha256', apiKey).update(`password\0${salt}\0${username}\0${key}`).digest()
  return secretOf('mp', bytes)
}

function annotationOf(salt: string, { apiKey, key, content }: IdempotentRequest): string {
  const marked = createHmac('sha256', apiKey).update(`key\0${salt}\0${key}`).digest('base64url')
  return `${salt}.${marked}.${hash('sha256', `content\0${salt}\0${content}`, 'base64url')}`
}
