import { createContext, Script } from 'node:vm'

const longestMs = 25
const context = createContext({ pattern: '', text: '' })
const script = new Script('new RegExp(`^(?:${pattern})$`, "u").test(text)')

/**
 * Whether a pattern of a resource matches all of a text. Only a context of its own can be told to give up: a pattern
 * such as `(a+)+` would hold up every organization for as long as it likes.
 */
export function matchesWhole(pattern: string, text: string): boolean {
  Object.assign(context, { pattern, text })
  try {
    return script.runInContext(context, { timeout: longestMs }) === true
  } catch {
    return false
  }
}
