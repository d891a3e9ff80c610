import { type Attributes, attributeOf, isAttributeName } from '#core/identity/attributes.ts'

/** The names in braces of a topic template, in order: `chat/{org_id}/{username}` gives two. */
function variablesOf(template: string): string[] {
  return Array.from(template.matchAll(variable), (match) => match[1] ?? '')
}

/**
 * What is wrong with a topic template, or undefined: a name nobody provides, a lone brace, or a filter
 * that is none once the variables are filled in.
 */
export function templateProblem(template: string, isFilter: (text: string) => boolean): string | undefined {
  const unknown = variablesOf(template).find((name) => !isAttributeName(name))
  if (unknown !== undefined) return `knows no variable {${unknown}}`
  const filled = template.replace(variable, 'x')
  if (/[{}]/.test(filled)) return 'has a brace that does not belong to a variable'
  return isFilter(filled) ? undefined : 'is not a topic filter'
}

/**
 * A template filled in for an allow rule. Undefined when a value is missing or unsafe: the rule then does
 * not apply, and never widens.
 */
export function fillForAllow(template: string, attributes: Attributes): string | undefined {
  const parts: string[] = []
  let rest = 0
  for (;;) {
    const open = template.indexOf('{', rest)
    const close = open === -1 ? -1 : template.indexOf('}', open)
    if (close === -1) break
    const value = attributeOf(attributes, template.slice(open + 1, close))
    if (value === undefined || !isSafeLevel(value)) return undefined
    parts.push(template.slice(rest, open), value)
    rest = close + 1
  }
  if (rest === 0) return template
  parts.push(template.slice(rest))
  // One flat text, for it is walked on every message; added up it would stay a tree.
  return parts.join('')
}

/** A template filled in for a deny rule: a level whose value is missing or unsafe becomes `+`, so that it denies more, not less. */
export function fillForDeny(template: string, attributes: Attributes): string {
  return template
    .split('/')
    .map((level) => (variablesOf(level).length === 0 ? level : (fillForAllow(level, attributes) ?? '+')))
    .join('/')
}

/** A variable of a template for which an identity has no value that may stand there. */
export interface UnusableVariable {
  readonly name: string
  readonly problem: 'missing' | 'unsafe'
}

/** Why a template can not be filled in; empty when it can. */
export function unusableVariables(template: string, attributes: Attributes): UnusableVariable[] {
  return [...new Set(variablesOf(template))].flatMap((name) => {
    const value = attributeOf(attributes, name)
    if (value !== undefined && isSafeLevel(value)) return []
    return [{ name, problem: value === undefined ? 'missing' : 'unsafe' } as const]
  })
}

/** The values that a template takes of an identity, by name. */
export function valuesIn(template: string, attributes: Attributes): Attributes {
  const names = variablesOf(template).filter((name) => attributeOf(attributes, name) !== undefined)
  return Object.fromEntries(names.map((name) => [name, attributeOf(attributes, name) ?? '']))
}

const variable = /\{([^{}]*)\}/g

/** A value may stand in one topic level: not empty, no separator, no wildcard, no control character, no leading `$`. */
function isSafeLevel(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= 128 &&
    !value.startsWith('$') &&
    !/[+#/\u0000-\u001f\u007f]/.test(value)
  )
}
