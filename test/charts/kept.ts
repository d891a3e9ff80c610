/** An object of a cluster, as far as an upgrade of the chart has to leave it alone. */
export interface LiveObject {
  readonly kind: string
  readonly type?: string
  readonly metadata: { readonly name: string; readonly uid: string }
  readonly spec?: { readonly selector?: unknown; readonly clusterIP?: string }
  readonly data?: Readonly<Record<string, string>>
}

/** By what it is of which object. */
export type Kept = ReadonlyMap<string, string>

/** What nobody may be surprised by: who an object is, which pods belong to it, its address, what a Secret holds. */
export function keptOf(objects: readonly LiveObject[]): Kept {
  const kept = new Map<string, string>()
  // Helm's own list of what it did.
  for (const { kind, metadata, spec, data } of objects.filter(({ type }) => type !== 'helm.sh/release.v1')) {
    const facts = { identity: metadata.uid, pods: spec?.selector, address: spec?.clusterIP, data }
    for (const [fact, value] of Object.entries(facts)) {
      if (value !== undefined) kept.set(`${kind} ${metadata.name}: ${fact}`, JSON.stringify(value))
    }
  }
  return kept
}

/** What was there before and is not any more, or is otherwise. */
export function changes(before: Kept, after: Kept): readonly string[] {
  return [...before].filter(([what, value]) => after.get(what) !== value).map(([what]) => what)
}
