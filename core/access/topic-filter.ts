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

/**
 * Does a message published to `topic` belong to `filter`? Asked for every message, rule and subscription: it
 * walks both texts once and allocates nothing. Both must be valid.
 */
export function matches(filter: string, topic: string): boolean {
  if (topic.charCodeAt(0) === dollar && !sameRoot(filter)) return false
  const filterLength = filter.length
  const topicLength = topic.length
  let f = 0
  let t = 0
  // Each turn compares one level; f and t stand at its beginning.
  for (;;) {
    const first = f < filterLength ? filter.charCodeAt(f) : 0
    if (first === hash) return true
    if (first === plus) {
      f += 1
      while (t < topicLength && topic.charCodeAt(t) !== slash) t += 1
    } else {
      for (; f < filterLength && filter.charCodeAt(f) !== slash; f += 1, t += 1) {
        if (t >= topicLength || filter.charCodeAt(f) !== topic.charCodeAt(t)) return false
      }
      if (t < topicLength && topic.charCodeAt(t) !== slash) return false
    }
    if (t >= topicLength) {
      // `a/#` also matches `a` (§4.7.1.2)
      return f >= filterLength || (f === filterLength - 2 && filter.charCodeAt(f + 1) === hash)
    }
    if (f >= filterLength) return false
    f += 1
    t += 1
  }
}

/** How many levels a topic name or filter has. */
export function levelsOf(text: string): number {
  let levels = 1
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) === slash) levels += 1
  return levels
}

const plus = 0x2b
const hash = 0x23
const slash = 0x2f
const dollar = 0x24

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

/** MQTT 5 §4.8.2: `$share/<group>/<filter>` is judged by its filter. Undefined when the group or filter is missing. */
export function filterOf(requested: string): string | undefined {
  if (!requested.startsWith('$share/')) return requested
  const slash = requested.indexOf('/', '$share/'.length)
  const group = requested.slice('$share/'.length, slash === -1 ? undefined : slash)
  return slash === -1 || group.length === 0 || /[+#]/.test(group) ? undefined : requested.slice(slash + 1)
}

/** Can this filter reach topics under a `$` root at all? Only when its first level is literal. */
function sameRoot(filter: string): boolean {
  return !filter.startsWith('+') && !filter.startsWith('#')
}
