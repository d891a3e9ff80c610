import { describe, expect, it } from 'vitest'
import { longestFile, type ManifestFile, readManifestText } from '../../standalone/manifest-file.ts'

const read = (text: string): ManifestFile => readManifestText('a.yaml', text)
const problemsOf = (text: string): string[] =>
  read(text).problems.map(({ place, problem }) => `${place.document}:${place.line} ${problem.remedy}`)

describe('a manifest file', () => {
  it('holds several documents, each with the line it begins at', () => {
    const { documents } = read('a: 1\n---\n# second\nb: 2\n---\n---\n{"c": 3}\n')
    expect(documents.map(({ place, value }) => [place.document, place.line, value])).toEqual([
      [1, 1, { a: 1 }],
      [2, 4, { b: 2 }],
      [4, 7, { c: 3 }],
    ])
  })

  it('may be JSON', () => {
    expect(read('{"a": [1, "x"]}').documents[0]?.value).toEqual({ a: [1, 'x'] })
  })

  it('may be empty', () => {
    expect(read('# nothing yet\n')).toMatchObject({ documents: [], problems: [] })
  })

  it('may use anchors and merge keys', () => {
    const text = 'base: &base { x: 1 }\nother: { <<: *base, y: 2 }\n'
    expect(read(text).documents[0]?.value).toMatchObject({ other: { x: 1, y: 2 } })
  })

  it('says the line of a field, and of the nearest one above a missing one', () => {
    const text =
      'spec:\n  rules:\n    - effect: allow\n      topics:\n        - a\n        - b\n  labels: { "a/b": 1 }\n'
    const [document] = read(text).documents
    const line = (field: string) => document?.lineOf(field)
    expect([line('spec.rules[0].topics[1]'), line('spec.rules[0].actions'), line('kind')]).toEqual([6, 3, 1])
    expect(line('spec.labels["a/b"]')).toBe(7)
  })
})

describe('a manifest file that can not be read', () => {
  it('loses the malformed document alone', () => {
    const { documents, problems } = read('a: 1\n---\nb: [1\n---\nc: 3\n')
    expect(documents.map(({ value }) => value)).toEqual([{ a: 1 }, { c: 3 }])
    expect(problems).toHaveLength(1)
  })

  it.for([
    ['a key that comes twice', 'a: 1\na: 2\n', '1:2 remove the key that is there twice'],
    ['a tab', 'a:\n\tb: 1\n', '1:2 indent with spaces, not tabs'],
    ['a list that does not end', 'a: [1, 2\n', /^1:\d correct the YAML: /],
  ] as const)('says document, line and remedy for %s', ([, text, expected]) => {
    const problems = problemsOf(text)
    expect(problems[0]).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected))
  })

  it('never shows what stands in it', () => {
    expect(JSON.stringify(read('password: hunter2\npassword: hunter3\n'))).not.toContain('hunter')
  })

  it('refuses aliases that multiply', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    for (let n = 1; n < 9; n++) {
      lines.push(`a${n}: &a${n} [${Array.from({ length: 9 }, () => `*a${n - 1}`).join(', ')}]`)
    }
    expect(problemsOf(lines.join('\n'))).toEqual([expect.stringContaining('use fewer anchors and aliases')])
  })

  it.for([
    ['a circle', 'a: &a [*a]\n'],
    ['nesting beyond all measure', `${'['.repeat(200_000)}`],
  ])('refuses %s', ([, text]) => {
    expect(problemsOf(text ?? '')).toHaveLength(1)
  })

  it('refuses a file that is too large', () => {
    expect(problemsOf('a'.repeat(longestFile + 1))).toEqual([expect.stringContaining('make it smaller')])
  })

  it('does not let a key reach Object.prototype', () => {
    const value = read('__proto__: { polluted: yes }\n').documents[0]?.value
    expect(Object.hasOwn(value as object, '__proto__')).toBe(true)
    expect('polluted' in {}).toBe(false)
  })
})
