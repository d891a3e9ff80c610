import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '#core/clock.ts'
import type { Problem } from '#core/errors.ts'
import { checkMetadata, isFields } from '#core/resources/check-metadata.ts'
import { checkResource, type ResourceManifest } from '#core/resources/check-resource.ts'
import { type AnyResource, isResourceKindName, type ResourceKindName } from '#core/resources/index.ts'
import type { OrganizationSpec } from '#core/resources/organization.ts'
import type { StoredSecret } from '../operator/reconcilers/host.ts'
import {
  describePlace,
  type ManifestDocument,
  type ManifestFile,
  type ManifestProblem,
} from './manifest-file.ts'
import { checkSecret } from './secret-manifest.ts'

/** An object in use, with the file it comes from. */
export interface CatalogObject {
  readonly file: string
  readonly object: AnyResource
  /** The short id that the operator chose, where the manifest gives none. */
  readonly pinnedShortId?: string
}

interface CatalogSecret {
  readonly file: string
  readonly secret: StoredSecret
}

export interface CatalogChange {
  readonly type: 'added' | 'changed' | 'deleted'
  readonly kind: ResourceKindName | 'Secret'
  readonly namespace: string
  readonly name: string
}

export interface CatalogUpdate {
  readonly changes: readonly CatalogChange[]
  readonly problems: readonly ManifestProblem[]
}

type Entry = CatalogObject | CatalogSecret
type Judgement = { readonly entry?: Entry; readonly problems: readonly Problem[] }

/**
 * What the files of a directory amount to: objects with what a host gives them (uid, generation, time of
 * creation). An object whose manifest is malformed stays as it last was; so does one that is missing from a file
 * of which not everything could be read. Pure but for uids and the clock.
 */
export class ManifestCatalog {
  #entries: ReadonlyMap<string, Entry>
  readonly #now: Clock

  /** `remembered` are the objects of the last run. */
  constructor(remembered: readonly CatalogObject[], now: Clock) {
    this.#entries = new Map(remembered.map((entry) => [keyOf(entry), entry]))
    this.#now = now
  }

  objects(): readonly CatalogObject[] {
    return [...this.#entries.values()].filter((entry) => 'object' in entry)
  }

  secret(namespace: string, name: string): StoredSecret | undefined {
    const entry = this.#entries.get(`Secret/${namespace}/${name}`)
    return entry !== undefined && 'secret' in entry ? entry.secret : undefined
  }

  update(files: readonly ManifestFile[]): CatalogUpdate {
    const problems = files.flatMap((file) => file.problems)
    const unsure = new Set(problems.map(({ place }) => place.file))
    const candidates = new Map<string, ManifestDocument[]>()
    for (const document of files.flatMap(({ documents }) => documents)) {
      const key = keyOfValue(document.value)
      if (key === undefined) {
        unsure.add(document.place.file)
        problems.push(...placed(document, problemsOf(document.value)))
      } else candidates.set(key, [...(candidates.get(key) ?? []), document])
    }
    const next = new Map<string, Entry>()
    for (const [key, documents] of candidates) {
      const entry = this.#choose(key, documents, problems)
      if (entry !== undefined) next.set(key, entry)
    }
    for (const [key, entry] of this.#entries) {
      if (!candidates.has(key) && unsure.has(entry.file)) next.set(key, entry)
    }
    const changes = changesBetween(this.#entries, next)
    this.#entries = next
    return { changes, problems }
  }

  /** Writes the short id into the Organization's spec, as long as its manifest gives none. */
  pinShortId(namespace: string, name: string, shortId: string): CatalogChange | undefined {
    const key = `Organization/${namespace}/${name}`
    const entry = this.#entries.get(key)
    if (entry === undefined || !('object' in entry) || entry.object.kind !== 'Organization') return undefined
    const { object } = entry
    const spec = object.spec as OrganizationSpec
    if (spec.shortId !== undefined) return undefined
    const metadata = { ...object.metadata, generation: object.metadata.generation + 1 }
    const pinned = { ...object, metadata, spec: { ...spec, shortId } } as AnyResource
    this.#entries = new Map(this.#entries).set(key, { ...entry, object: pinned, pinnedShortId: shortId })
    return { type: 'changed', kind: 'Organization', namespace, name }
  }

  /** The entry that the documents of one key lead to; the present one where they are malformed. */
  #choose(
    key: string,
    documents: readonly ManifestDocument[],
    problems: ManifestProblem[],
  ): Entry | undefined {
    const present = this.#entries.get(key)
    // Where two files hold it, the one it came from goes on counting.
    const chosen = documents.find(({ place }) => place.file === present?.file) ?? documents[0]
    if (chosen === undefined) return present
    for (const other of documents) {
      if (other === chosen) continue
      const remedy = `remove it or give it another name: it is in ${describePlace(chosen.place)} already`
      problems.push(...placed(other, [{ field: 'metadata.name', remedy }], key))
    }
    const judgement = this.#judge(chosen, present)
    problems.push(...placed(chosen, judgement.problems, key))
    return judgement.entry ?? present
  }

  #judge(document: ManifestDocument, present: Entry | undefined): Judgement {
    const value = document.value as Readonly<Record<string, unknown>>
    const { file } = document.place
    if (value['kind'] === 'Secret') {
      const { secret, problems } = checkSecret(value)
      return secret === undefined ? { problems } : { entry: { file, secret }, problems: [] }
    }
    const old = present !== undefined && 'object' in present ? present : undefined
    const { resource, problems } = checkResource(withPinned(value, old?.pinnedShortId), old?.object)
    return resource === undefined ? { problems } : { entry: this.#entryOf(file, resource, old), problems: [] }
  }

  #entryOf(file: string, manifest: ResourceManifest, old: CatalogObject | undefined): CatalogObject {
    const before = old?.object
    const isSameSpec = before !== undefined && isDeepStrictEqual(before.spec, manifest.spec)
    const metadata = {
      ...manifest.metadata,
      uid: before?.metadata.uid ?? randomUUID(),
      generation: (before?.metadata.generation ?? 0) + (isSameSpec ? 0 : 1),
      creationTimestamp: before?.metadata.creationTimestamp ?? secondTime(this.#now()),
    }
    const pinned = old?.pinnedShortId === undefined ? {} : { pinnedShortId: old.pinnedShortId }
    return { file, object: { ...manifest, metadata } as AnyResource, ...pinned }
  }
}

const secondTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

function keyOf(entry: Entry): string {
  if ('secret' in entry) return `Secret/${entry.secret.namespace}/${entry.secret.name}`
  const { kind, metadata } = entry.object
  return `${kind}/${metadata.namespace}/${metadata.name}`
}

/** Which object a document is about; undefined when it does not say. */
function keyOfValue(value: unknown): string | undefined {
  if (!isFields(value) || typeof value['kind'] !== 'string') return undefined
  const { kind, metadata } = value
  if (!isFields(metadata) || !(kind === 'Secret' || isResourceKindName(kind))) return undefined
  const names = { name: metadata['name'], namespace: metadata['namespace'] ?? 'default' }
  const checked = checkMetadata(names)
  return 'problems' in checked ? undefined : `${kind}/${checked.namespace}/${checked.name}`
}

function problemsOf(value: unknown): readonly Problem[] {
  const isSecret = isFields(value) && value['kind'] === 'Secret'
  return (isSecret ? checkSecret(value) : checkResource(value)).problems ?? []
}

function placed(
  document: ManifestDocument,
  problems: readonly Problem[],
  key?: string,
): readonly ManifestProblem[] {
  const about = key === undefined ? {} : { about: key.replace('/', ' ') }
  return problems.map((problem) => ({
    place: { ...document.place, line: document.lineOf(problem.field) },
    problem,
    ...about,
  }))
}

function withPinned(value: Readonly<Record<string, unknown>>, shortId: string | undefined): unknown {
  const { spec } = value
  if (shortId === undefined || !isFields(spec) || 'shortId' in spec) return value
  return { ...value, spec: { ...spec, shortId } }
}

function changesBetween(
  before: ReadonlyMap<string, Entry>,
  after: ReadonlyMap<string, Entry>,
): readonly CatalogChange[] {
  const change = (type: CatalogChange['type'], key: string): CatalogChange => {
    const [kind, namespace, name] = key.split('/') as [ResourceKindName | 'Secret', string, string]
    return { type, kind, namespace, name }
  }
  const deleted = [...before.keys()].filter((key) => !after.has(key))
  const others = [...after].flatMap(([key, entry]) => {
    const old = before.get(key)
    if (old === undefined) return [change('added', key)]
    return isDeepStrictEqual(contentOf(old), contentOf(entry)) ? [] : [change('changed', key)]
  })
  return [...deleted.map((key) => change('deleted', key)), ...others]
}

const contentOf = (entry: Entry): unknown => ('secret' in entry ? entry.secret : entry.object)
