import { createHash } from 'node:crypto'
import type { Problem } from '#core/errors.ts'
import { checkMetadata, isFields } from '#core/resources/check-metadata.ts'
import { fieldPath, unknownField } from '#core/resources/schema-problems.ts'
import type { StoredSecret } from '../operator/reconcilers/host.ts'

/** A `v1` Secret as it stands in a manifest: what `passwordSecretRef` and its kin refer to. Read, never written. */
export type CheckedSecret =
  | { readonly secret: StoredSecret; readonly problems?: undefined }
  | { readonly problems: readonly Problem[]; readonly secret?: undefined }

const knownFields = ['apiVersion', 'kind', 'metadata', 'type', 'data', 'stringData', 'immutable']

/** Problems never show a value. */
export function checkSecret(value: Readonly<Record<string, unknown>>): CheckedSecret {
  const metadata = checkMetadata(value['metadata'])
  const problems = [
    ...(value['apiVersion'] === 'v1' ? [] : [{ field: 'apiVersion', remedy: 'give v1' }]),
    ...Object.keys(value)
      .filter((name) => !knownFields.includes(name))
      .map((name) => ({ field: name, remedy: unknownField(name, knownFields) })),
    ...('problems' in metadata ? metadata.problems : []),
    ...textProblems('data', value['data'], isBase64, 'give base64, or use stringData'),
    ...textProblems('stringData', value['stringData'], () => true, ''),
  ]
  if (problems.length > 0 || 'problems' in metadata) return { problems }
  const data = { ...decoded(texts(value['data'])), ...texts(value['stringData']) }
  return { secret: { namespace: metadata.namespace, name: metadata.name, data, version: versionOf(data) } }
}

/** Changes whenever the content does. */
export function versionOf(data: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(data).toSorted(([left], [right]) => (left < right ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16)
}

function textProblems(
  field: string,
  map: unknown,
  isRight: (text: string) => boolean,
  remedy: string,
): readonly Problem[] {
  if (map === undefined || map === null) return []
  if (!isFields(map)) return [{ field, remedy: 'give names with texts' }]
  return Object.entries(map).flatMap(([key, text]) => {
    if (typeof text !== 'string') {
      return [{ field: fieldPath(field, [key]), remedy: 'give a text: put it in quotes' }]
    }
    return isRight(text) ? [] : [{ field: fieldPath(field, [key]), remedy }]
  })
}

const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)

const texts = (map: unknown): Readonly<Record<string, string>> => (map ?? {}) as Record<string, string>

function decoded(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(map).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]),
  )
}
