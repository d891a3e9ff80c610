/** Every YAML that a page shows is what it seems to be: values of the chart, or objects that an API server accepts. */
import { glob, readFile } from 'node:fs/promises'
import { parse, parseAllDocuments } from 'yaml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderText } from '../charts/render.ts'
import { type ControlPlane, startControlPlane, whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { readPage } from './page-blocks.ts'

interface Shown {
  readonly page: string
  readonly where: string
  readonly documents: readonly Readonly<Record<string, unknown>>[]
}

const shown: Shown[] = []
for await (const file of glob(['docs/**/*.md', 'README.md', 'charts/*/README.md'])) {
  const { blocks } = await readPage(`../${file}`)
  const yaml = blocks.filter(({ language }) => language === 'yaml')
  for (const [index, { name, text }] of yaml.entries()) {
    const documents = parseAllDocuments(text).map((each) => each.toJS() as Record<string, unknown>)
    shown.push({ page: file, where: `${file} ${name || index + 1}`, documents })
  }
}

const chartValues = parse(await readFile('charts/cloudsignal/values.yaml', 'utf8')) as object
const isValues = ({ documents }: Shown): boolean =>
  documents.every((document) => Object.keys(document).every((key) => key in chartValues))
const group = /^cloudsignal\.app\//
const isOurs = ({ documents }: Shown): boolean =>
  documents.every(({ apiVersion }) => group.test(String(apiVersion)))

/** Of other programs, or a part of an object. */
const others = shown.filter((each) => !isValues(each) && !isOurs(each)).map(({ where }) => where)

describe('what pages show as values of the chart', () => {
  test.each(shown.filter(isValues))('is accepted: $where', async ({ documents }) => {
    const needed = { broker: { tls: { certManager: { issuerRef: { name: 'an-issuer' } } } } }
    await expect(renderText({ ...needed, ...documents[0] })).resolves.toContain('kind: Deployment')
  })

  test('would be refused with a name that is none', async () => {
    await expect(renderText({ broker: { hots: 'mqtt.example.com' } })).rejects.toThrow(/hots/)
  })
})

describe.skipIf(whyNoControlPlane !== undefined)('what pages show of our kinds', () => {
  let plane: ControlPlane
  beforeAll(async () => {
    plane = await startControlPlane()
    await plane.kubectl(['apply', '--server-side', '-f', 'crds/'])
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'])
  })
  afterAll(() => plane?.stop())

  async function accept(documents: Shown['documents']): Promise<unknown> {
    const namespaces = documents.map(
      ({ metadata }) => (metadata as { readonly namespace?: string }).namespace,
    )
    for (const name of new Set(namespaces.filter((each) => each !== undefined)))
      await plane.kubectl(['create', 'namespace', name]).catch(() => {})
    const text = documents.map((document) => JSON.stringify(document)).join('\n---\n')
    return plane.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], text)
  }

  const ours = shown.filter(isOurs)
  test.each([...new Set(ours.map(({ page }) => page))])('is accepted: %s', async (page) => {
    await accept(ours.filter((each) => each.page === page).flatMap(({ documents }) => documents))
  })

  test('would be refused with a field that is none', async () => {
    const [document] = ours[0]?.documents ?? []
    const wrong = { ...document, spec: { ...(document?.['spec'] as object), nonsense: true } }
    await expect(accept([wrong])).rejects.toThrow(/nonsense/)
  })
})

test('nothing of ours hides among the YAML of other programs', () => {
  // Those of docs/providers are parts of objects, which tests of their own put together.
  const elsewhere = others.filter((where) => !where.startsWith('docs/providers/'))
  expect(elsewhere.toSorted()).toEqual([
    'docs/install/argo-cd.md argocd-cm.yaml',
    'docs/install/argo-cd.md chart-application.yaml',
    'docs/install/argo-cd.md ignore-differences.yaml',
    'docs/install/argo-cd.md messaging-application.yaml',
    'docs/install/cloud.md issuer.yaml',
    // Of prometheus-adapter, and of Flux.
    'docs/scaling.md 1',
    'docs/users-in-git.md 2',
  ])
})
