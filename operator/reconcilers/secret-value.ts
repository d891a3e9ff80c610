import type { StoredSecret } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'

export type SecretValue =
  | { readonly text: string; readonly refusal?: undefined }
  | { readonly text?: undefined; readonly refusal: Readiness }

/** `field`: what of the spec refers to it. */
export function secretMissing(namespace: string, name: string, field: string): Readiness {
  const message = `there is no Secret ${name} in namespace ${namespace}: make it, or leave ${field} out`
  return notReady('SecretNotFound', message)
}

/** What stands under a key of a Secret, as it is or as `read` takes it. */
export function valueIn(
  { name, data }: Pick<StoredSecret, 'name' | 'data'>,
  key: string,
  read: (text: string) => string = (text) => text,
): SecretValue {
  const text = Object.hasOwn(data, key) ? read(data[key] ?? '') : ''
  return text === ''
    ? { refusal: notReady('SecretKeyMissing', `Secret ${name} has no key ${key}, or nothing in it`) }
    : { text }
}
