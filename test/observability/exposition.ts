/** One metric of what a program serves. */
export interface Family {
  readonly name: string
  type: string
  help: string
  /** Of its samples so far, with their values. */
  readonly labels: Map<string, Set<string>>
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/

/** Reads the text that Prometheus reads. */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, Family>()
  const familyOf = (name: string): Family => {
    const found = families.get(name) ?? { name, type: '', help: '', labels: new Map() }
    families.set(name, found)
    return found
  }
  for (const line of text.split('\n')) {
    const [, kind, named = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind === 'HELP') familyOf(named).help = rest
    if (kind === 'TYPE') familyOf(named).type = rest
    const [, sample, labels = ''] = sampleLine.exec(line) ?? []
    if (sample === undefined) continue
    const name = families.has(sample) ? sample : sample.replace(/_(bucket|sum|count)$/, '')
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      if (label === 'le') continue
      const { labels } = familyOf(name)
      labels.set(label, (labels.get(label) ?? new Set()).add(value))
    }
  }
  return families
}
