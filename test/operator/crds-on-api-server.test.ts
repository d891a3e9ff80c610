/** The CRDs before the judge that counts: a real API server takes them, and gives the corpus' verdicts. */
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resourceKinds } from '#core/resources/index.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { type CorpusFile, readCorpus } from '../fixtures/manifest-corpus.ts'

const crds = fileURLToPath(new URL('../../crds/', import.meta.url))

/** Where the refusal is not of our CRDs, the server names the field in its own way. */
const serverWording: Readonly<Record<string, string>> = {
  apiVersion: 'in version "cloudsignal.app/v1"',
  'metadata.labels.team': 'metadata.labels',
}

describe.skipIf(whyNoControlPlane !== undefined)('the CRDs on a real API server', () => {
  let plane: ControlPlane
  const refusals: { readonly kind: string; readonly refusal: string }[] = []

  beforeAll(async () => {
    plane = await startControlPlane()
    await plane.kubectl(['apply', '--server-side', '-f', crds])
    await plane.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds])
  })
  afterAll(() => plane?.stop())

  /** A namespace of the file's own, so that no two files change one object. */
  async function namespaceFor({ name }: CorpusFile): Promise<string> {
    const namespace = name.replace('.yaml', '')
    await plane.kubectl(['create', 'namespace', namespace])
    return namespace
  }

  const apply = (namespace: string, document: unknown) =>
    plane.kubectl(
      ['apply', '-f', '-', '--validate=strict'],
      JSON.stringify(withNamespace(document, namespace)),
    )

  test('each is served, with its short name, its category and its selectable field', async () => {
    expect(await readdir(crds)).toHaveLength(5)
    const { stdout } = await plane.kubectl([
      'api-resources',
      '--api-group=cloudsignal.app',
      '--categories=mqtt',
      '--no-headers',
    ])
    const shortNames = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/)[1])
    expect(shortNames.toSorted()).toEqual(['mak', 'mal', 'midp', 'morg', 'mqu'])
  })

  describe.for(readCorpus('good').filter(({ only }) => only !== 'standalone'))('$name', (file) => {
    test('is accepted', async () => {
      const namespace = await namespaceFor(file)
      for (const document of file.documents) await apply(namespace, document)
    })
  })

  describe.for(readCorpus('bad').filter(({ only }) => only !== 'standalone'))('$name', (file) => {
    test(`is refused, naming ${file.expected.join(', ')}`, async () => {
      const namespace = await namespaceFor(file)
      for (const document of file.documents.slice(0, -1)) await apply(namespace, document)
      const refusal = await apply(namespace, file.documents.at(-1)).then(
        () => 'it was accepted',
        (error: Error) => error.message,
      )
      refusals.push({ kind: kindOf(file.documents.at(-1)), refusal })
      for (const field of file.expected) expect(refusal).toContain(serverWording[field] ?? field)
    })
  })

  test('every rule of every kind has refused something, and said what to do', () => {
    const idle = Object.values(resourceKinds).flatMap(({ kind, rules }) =>
      rules
        .filter(({ remedy }) => !refusals.some((each) => each.kind === kind && each.refusal.includes(remedy)))
        .map(({ remedy }) => `${kind}: ${remedy}`),
    )
    expect(idle).toEqual([])
  })

  test('no two rules of a kind say the same, so that one does not count for the other', () => {
    for (const { kind, rules } of Object.values(resourceKinds)) {
      expect(new Set(rules.map(({ remedy }) => remedy)).size, kind).toBe(rules.length)
    }
  })
})

const kindOf = (document: unknown): string => (document as { readonly kind: string }).kind

function withNamespace(document: unknown, namespace: string): object {
  const { metadata, ...rest } = document as { metadata: object }
  return { ...rest, metadata: { ...metadata, namespace } }
}
