import { isMap, isScalar, isSeq, LineCounter, type Document, type Node, parseAllDocuments } from 'yaml'
import type { Problem } from '#core/errors.ts'

/** Where something stands, for people: file, which document of it, line. */
export interface Place {
  readonly file: string
  /** Counted from 1. */
  readonly document: number
  readonly line: number
}

/** One object in a file, not judged yet. */
export interface ManifestDocument {
  readonly place: Place
  readonly value: unknown
  /** Line of a field such as `spec.rules[0].topics`, or of the nearest one above it that is there. */
  lineOf(field: string): number
}

export interface ManifestProblem {
  readonly place: Place
  readonly problem: Problem
  /** `MqttUser default/sensor-01`, where that is known. */
  readonly about?: string
}

export interface ManifestFile {
  readonly file: string
  readonly documents: readonly ManifestDocument[]
  /** With any of them, it is not known all of what the file was meant to hold. */
  readonly problems: readonly ManifestProblem[]
}

export const longestFile = 1024 * 1024
/** More uses of anchors than that are no shorthand but an attack on memory. */
const mostAliases = 100

/**
 * The documents of a YAML or JSON text. YAML 1.2 as Kubernetes manifests use it: keys are texts, none comes
 * twice in a map, `<<` merges. A document that can not be read is a problem, and the others are still there.
 */
export function readManifestText(file: string, text: string): ManifestFile {
  if (text.length > longestFile) return unreadable(file, `make it smaller than ${longestFile} characters`)
  const lines = new LineCounter()
  const documents: ManifestDocument[] = []
  const problems: ManifestProblem[] = []
  for (const [index, document] of parseAll(text, lines).entries()) {
    const begin = document.contents?.range?.[0] ?? document.range?.[0] ?? 0
    const place = { file, document: index + 1, line: lines.linePos(begin).line }
    const outcome = valueOf(document)
    if ('problem' in outcome) {
      const line = outcome.offset === undefined ? place.line : lines.linePos(outcome.offset).line
      problems.push({ place: { ...place, line }, problem: outcome.problem })
    } else if (outcome.value !== null && outcome.value !== undefined) {
      documents.push({
        place,
        value: outcome.value,
        lineOf: (field) => lineOf(document, lines, field, place.line),
      })
    }
  }
  return { file, documents, problems }
}

/** A file of which nothing is known. */
export function unreadable(file: string, remedy: string): ManifestFile {
  return {
    file,
    documents: [],
    problems: [{ place: { file, document: 1, line: 1 }, problem: { field: 'file', remedy } }],
  }
}

type Outcome = { readonly value: unknown } | { readonly problem: Problem; readonly offset?: number }

function valueOf(document: Document.Parsed): Outcome {
  const error = document.errors[0]
  if (error !== undefined) {
    // The rest of the message shows lines of the file, where a secret may stand.
    const reason = (error.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '')
    return { problem: { field: 'document', remedy: remedyOf(error.code, reason) }, offset: error.pos[0] }
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: mostAliases })
    // As JSON has it: no dates, no endless circles through an alias.
    return { value: JSON.parse(JSON.stringify(value ?? null)) as unknown }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return {
      problem: { field: 'document', remedy: `use fewer anchors and aliases: ${reason.split('\n')[0]}` },
    }
  }
}

/** Nothing of a text that is nested beyond all measure. */
function parseAll(text: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  try {
    return parseAllDocuments(text, { lineCounter, stringKeys: true, merge: true })
  } catch {
    return parseAllDocuments('[nested too deeply', { lineCounter })
  }
}

function remedyOf(code: string, reason: string): string {
  if (code === 'DUPLICATE_KEY') return 'remove the key that is there twice'
  if (code === 'TAB_AS_INDENT') return 'indent with spaces, not tabs'
  return `correct the YAML: ${reason}`
}

function lineOf(document: Document.Parsed, lines: LineCounter, field: string, otherwise: number): number {
  let node: unknown = document.contents
  let offset: number | undefined
  for (const step of stepsOf(field)) {
    const next = childOf(node, step)
    if (next === undefined) break
    offset = next.offset
    node = next.node
  }
  return offset === undefined ? otherwise : lines.linePos(offset).line
}

/** `spec.labels["a/b"].topics[1]` taken apart. */
function stepsOf(field: string): readonly string[] {
  return Array.from(
    field.matchAll(/([^.[\]]+)|\["((?:[^"\\]|\\.)*)"\]/g),
    (match) => match[1] ?? match[2] ?? '',
  )
}

function childOf(
  node: unknown,
  step: string,
): { readonly node: unknown; readonly offset: number | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
    return pair === undefined ? undefined : { node: pair.value, offset: (pair.key as Node).range?.[0] }
  }
  if (!isSeq(node)) return undefined
  const item = node.items[Number(step)]
  return item === undefined ? undefined : { node: item, offset: (item as Node).range?.[0] }
}

/** One line for people: `users.yaml:12 (document 2): spec.username=a b: give …`. */
export function describePlace({ file, document, line }: Place): string {
  return `${file}:${line} (document ${document})`
}
