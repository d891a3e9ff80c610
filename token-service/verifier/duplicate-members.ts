const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g

/**
 * Whether an object in JSON has two members of one name, at any depth. Parsers differ in which of them they take (RFC 8259
 * §4): two who read such a token may see two people. The text must be JSON.
 */
export function hasDuplicateMembers(json: string): boolean {
  /** Names of each object around; of a list, undefined. */
  const around: (Set<string> | undefined)[] = []
  let last = ''
  for (const token of json.match(tokens) ?? []) {
    if (token === '{') around.push(new Set())
    else if (token === '[') around.push(undefined)
    else if (token === '}' || token === ']') around.pop()
    else if (token === ':') {
      const names = around.at(-1)
      const name = last.includes('\\') ? (JSON.parse(last) as string) : last.slice(1, -1)
      if (names?.has(name) === true) return true
      names?.add(name)
    } else last = token
  }
  return false
}
