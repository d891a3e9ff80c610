/**
 * Topic names and filters of MQTT 5 §4.7, as pure functions over text. Levels are split at `/`; empty
 * levels count; case matters. A filter that begins with a wildcard never reaches a topic that begins
 * with `$` [MQTT-4.7.2-1].
 */

/** [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-3.3.2-2]: at least one character, no NUL, no wildcard. */
export function isTopicName(text: string): boolean {
  return text.length > 0 && text.length <= 65_535 && !/[+#\0]/.test(text)
}

/** [MQTT-4.7.1-1] [MQTT-4.7.1-2]: `#` only as the whole last level, `+` only as a whole level. */
export function isTopicFilter(text: string): boolean {
  if (text.length === 0 || text.length > 65_535 || text.includes('\0')) return false
  const levels = text.split('/')
  return levels.every((level, index) => {
    if (level === '#') return index === levels.length - 1
    return level === '+' || !/[+#]/.test(level)
  })
}

/** Does a message published to `topic` belong to `filter`? */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && !sameRoot(filter)) return false
  const wanted = filter.split('/')
  const given = topic.split('/')
  for (let index = 0; index < wanted.length; index++) {
    const level = wanted[index]
    if (level === '#') return true
    // `a/#` also matches `a` (§4.7.1.2)
    if (index >= given.length) return false
    if (level !== '+' && level !== given[index]) return false
    if (index === given.length - 1 && wanted.length === index + 2 && wanted[index + 1] === '#') return true
  }
  return wanted.length === given.length
}

/** Does every topic that `inner` can match also match `outer`? */
export function covers(outer: string, inner: string): boolean {
  if (inner.startsWith('$') && !sameRoot(outer)) return false
  const wide = outer.split('/')
  const narrow = inner.split('/')
  for (let index = 0; ; index++) {
    const w = wide[index]
    const n = narrow[index]
    if (w === '#') return true
    if (n === undefined || w === undefined) return n === w
    // `a/#` holds `a` itself, so only a `#` at this level or above holds it. There is no empty topic, though:
    // `#` is the same as `+/#`, and `/#` as `/+/#`.
    if (n === '#') {
      const hasNoParent = index === 0 || (index === 1 && narrow[0] === '')
      return hasNoParent && w === '+' && wide.length === index + 2 && wide[index + 1] === '#'
    }
    if (w !== '+' && w !== n) return false
    if (w !== '+' && n === '+') return false
  }
}

/** Is there a topic that both filters match? */
export function overlaps(a: string, b: string): boolean {
  if ((a.startsWith('$') && !sameRoot(b)) || (b.startsWith('$') && !sameRoot(a))) return false
  const left = a.split('/')
  const right = b.split('/')
  for (let index = 0; ; index++) {
    const l = left[index]
    const r = right[index]
    // Where one ends and the other goes on with `#`, they meet in the parent, unless that is the empty topic.
    if (l === '#' || r === '#') {
      const meetInParent = l === undefined || r === undefined
      return !(meetInParent && index === 1 && (left[0] === '' || right[0] === ''))
    }
    if (l === undefined || r === undefined) return l === r
    if (l !== '+' && r !== '+' && l !== r) return false
  }
}

/** Can this filter reach topics under a `$` root at all? Only when its first level is literal. */
function sameRoot(filter: string): boolean {
  return !filter.startsWith('+') && !filter.startsWith('#')
}
