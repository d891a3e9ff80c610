interface Family {
  readonly head: string[]
  readonly samples: string[]
}

/**
 * One Prometheus text of several: what is said of a metric stands once, before the samples of all. The samples have to
 * differ in a label.
 */
export function mergeMetricTexts(texts: readonly string[]): string {
  const families = new Map<string, Family>()
  for (const text of texts) {
    let family: Family | undefined
    let isKnown = false
    for (const line of text.split('\n')) {
      if (line === '') continue
      const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1]
      if (name === undefined) {
        family?.samples.push(line)
        continue
      }
      if (line.startsWith('# HELP')) {
        isKnown = families.has(name)
        family = families.get(name) ?? { head: [], samples: [] }
        families.set(name, family)
      }
      if (!isKnown) family?.head.push(line)
    }
  }
  return [...families.values()].map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`).join('\n')
}
