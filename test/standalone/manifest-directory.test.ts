import { rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ManifestDirectory } from '../../standalone/manifest-directory.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, aUser, documents, someManifests } from './manifests-fixture.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const names = (manifests: ManifestDirectory): string[] =>
  manifests.objects().map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`)
const metadataOf = (manifests: ManifestDirectory, name: string) =>
  manifests.objects().find(({ metadata }) => metadata.name === name)?.metadata

describe('a manifest directory', () => {
  it('reads YAML and JSON of the directory and all below it, and leaves the rest', async () => {
    const user = { apiVersion: 'cloudsignal.app/v1alpha1', kind: 'MqttUser' }
    const { open } = await someManifests({
      'a.yaml': documents(anOrganization('acme'), anOrganization('globex')),
      'below/deep/b.yml': aUser('one'),
      'c.json': JSON.stringify({
        ...user,
        metadata: { name: 'two' },
        spec: { organizationRef: { name: 'acme' } },
      }),
      'README.md': 'kind: nothing',
      '.hidden/d.yaml': anOrganization('hidden'),
    })
    expect(names((await open()).manifests)).toEqual([
      'Organization default/acme',
      'Organization default/globex',
      'MqttUser default/one',
      'MqttUser default/two',
    ])
  })

  it('says when there is no such directory, and how to name another', async () => {
    const { open, directory } = await someManifests({})
    await rm(directory, { recursive: true })
    await expect(open()).rejects.toThrow(/is no directory; say with --manifests/)
  })

  it('gives each object a uid of its own, generation 1 and the time of creation', async () => {
    const { open } = await someManifests({ 'a.yaml': documents(anOrganization('acme'), aUser('one')) })
    const { manifests } = await open()
    const acme = metadataOf(manifests, 'acme')
    expect(acme).toMatchObject({ generation: 1, creationTimestamp: expect.stringMatching(/^2.*Z$/) })
    expect(acme?.uid).not.toBe(metadataOf(manifests, 'one')?.uid)
  })

  it('keeps uid, generation and pinned short id over a restart', async () => {
    const { open } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const first = await open()
    await first.manifests.pinShortId('default', 'acme', 'aaaabbbbcccc')
    await first.manifests.close()
    const second = await open()
    expect(second.manifests.objects()).toEqual(first.manifests.objects())
    expect(second.manifests.objects()[0]?.spec).toEqual({ shortId: 'aaaabbbbcccc' })
    expect(metadataOf(second.manifests, 'acme')?.generation).toBe(2)
  })

  it('names a damaged state file and leaves it', async () => {
    const { open } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { manifests, state } = await open()
    await manifests.close()
    await writeFile(state.pathOf('objects.json'), '{"objects": [{}]}')
    await expect(open()).rejects.toThrow(
      /objects\.json is damaged and was left as it is: restore it, or delete it/,
    )
  })
})

describe('while it is watched', () => {
  it('takes over what is added, changed and deleted', async () => {
    const { open, write, directory } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { manifests } = await open()
    const changes: string[] = []
    manifests.onChange((all) => changes.push(...all.map(({ type, kind, name }) => `${type} ${kind} ${name}`)))
    await write('users/one.yaml', aUser('one'))
    await eventually('added', () => changes.includes('added MqttUser one'))
    await write('users/one.yaml', aUser('one', '  suspended: true\n'))
    await eventually('changed', () => changes.includes('changed MqttUser one'))
    await rm(join(directory, 'users/one.yaml'))
    await eventually('deleted', () => changes.includes('deleted MqttUser one'))
    expect(changes).toHaveLength(3)
  })

  it('counts a change of the spec as a new generation, and one of a label not', async () => {
    const { open, write } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { manifests } = await open()
    const { uid } = metadataOf(manifests, 'acme') ?? {}
    await write('a.yaml', anOrganization('acme', 'displayName: Acme'))
    await eventually('generation 2', () => metadataOf(manifests, 'acme')?.generation === 2)
    await write('a.yaml', anOrganization('acme, labels: { a: b }', 'displayName: Acme'))
    await eventually('the label', () => metadataOf(manifests, 'acme')?.labels?.['a'] === 'b')
    expect(metadataOf(manifests, 'acme')).toMatchObject({ uid, generation: 2 })
  })

  it('gives another uid to an object that was deleted and came back', async () => {
    const { open, write, directory } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { manifests } = await open()
    const { uid } = metadataOf(manifests, 'acme') ?? {}
    await rm(join(directory, 'a.yaml'))
    await eventually('deleted', () => manifests.objects().length === 0)
    await write('a.yaml', anOrganization('acme'))
    await eventually('back', () => manifests.objects().length === 1)
    expect(metadataOf(manifests, 'acme')?.uid).not.toBe(uid)
  })

  it('keeps the object when its file is renamed', async () => {
    const { open, write, directory } = await someManifests({ 'a.yaml': anOrganization('acme') })
    const { manifests } = await open()
    const { uid } = metadataOf(manifests, 'acme') ?? {}
    await rename(join(directory, 'a.yaml'), join(directory, 'b.yaml'))
    await write('c.yaml', anOrganization('globex'))
    await eventually('the other', () => manifests.objects().length === 2)
    expect(metadataOf(manifests, 'acme')?.uid).toBe(uid)
  })
})

describe('a malformed manifest', () => {
  it('is said with file, document, line, field, value and remedy, and everything else works', async () => {
    const text = documents(anOrganization('acme'), aUser('one', '  usrname: x\n  suspended: maybe\n'))
    const { open, said } = await someManifests({ 'a.yaml': text, 'b.yaml': anOrganization('globex') })
    const { manifests } = await open()
    expect(names(manifests)).toEqual(['Organization default/acme', 'Organization default/globex'])
    expect(said.toSorted()).toEqual([
      expect.stringMatching(
        /a\.yaml:11 \(document 2\): MqttUser default\/one spec\.usrname: is no field; did you mean username\?$/,
      ),
      expect.stringMatching(
        /a\.yaml:12 \(document 2\): MqttUser default\/one spec\.suspended="maybe": give true or false$/,
      ),
    ])
  })

  it('leaves the last good version of its object in use, and is taken over once it is right', async () => {
    const { open, write, said } = await someManifests({ 'a.yaml': aUser('one') })
    const { manifests } = await open()
    await write('a.yaml', aUser('one', '  suspended: maybe\n'))
    await eventually('the problem', () =>
      said.some((line) => line.endsWith('(its last good version stays in use)')),
    )
    expect(manifests.objects()[0]?.spec).toEqual({ organizationRef: { name: 'acme' } })
    await write('a.yaml', aUser('one', '  suspended: true\n'))
    await eventually('the change', () => metadataOf(manifests, 'one')?.generation === 2)
    expect(said.at(-1)).toBe('every manifest is right again')
  })

  it.for([
    ['YAML that can not be read', 'kind: [\n'],
    ['no kind', 'metadata: { name: one }\n'],
    ['a name that is none', aUser('One')],
  ])('deletes nothing that was in its file, also over a restart: %s', async ([, broken]) => {
    const { open, write, said } = await someManifests({
      'a.yaml': documents(anOrganization('acme'), aUser('one')),
    })
    const first = await open()
    await write('a.yaml', documents(anOrganization('acme'), broken ?? ''))
    await eventually('the problem', () => said.length > 0)
    expect(names(first.manifests)).toContain('MqttUser default/one')
    await first.manifests.close()
    expect(names((await open()).manifests)).toContain('MqttUser default/one')
  })

  it('is said once, not at every change of another file', async () => {
    const { open, write, said } = await someManifests({ 'a.yaml': 'kind: x\n' })
    const { manifests } = await open()
    const before = said.length
    await write('b.yaml', anOrganization('acme'))
    await eventually('the other', () => manifests.objects().length === 1)
    expect(said).toHaveLength(before)
  })

  it('may not change what can not be changed, also over a restart', async () => {
    const { open, write, said } = await someManifests({
      'a.yaml': anOrganization('acme', 'shortId: aaaabbbbcccc'),
    })
    await (await open()).manifests.close()
    await write('a.yaml', anOrganization('acme', 'shortId: aaaabbbbdddd'))
    expect((await open()).manifests.objects()[0]?.spec).toEqual({ shortId: 'aaaabbbbcccc' })
    expect(said.join()).toMatch(/spec\.shortId="aaaabbbbdddd": leave it as it was/)
  })

  it('that repeats a name of another file names both places, and the first one counts', async () => {
    const { open, write, said } = await someManifests({
      'b.yaml': anOrganization('acme', 'displayName: first'),
    })
    const { manifests } = await open()
    await write('a.yaml', anOrganization('acme', 'displayName: second'))
    await eventually('the problem', () => said.length > 0)
    expect(said[0]).toMatch(/a\.yaml:3 \(document 1\).*remove it or give it another name: it is in b\.yaml:1/)
    expect(manifests.objects()[0]?.spec).toEqual({ displayName: 'first' })
  })
})

describe('a Secret in a manifest', () => {
  const secret = (data: string) => `apiVersion: v1\nkind: Secret\nmetadata: { name: own }\n${data}\n`

  it('is there with its data in clear', async () => {
    const { open } = await someManifests({
      'a.yaml': secret('data: { a: aGVsbG8= }\nstringData: { b: there }'),
    })
    expect((await open()).manifests.secret('default', 'own')?.data).toEqual({ a: 'hello', b: 'there' })
  })

  it('that is malformed is refused without its value', async () => {
    const { open, said } = await someManifests({ 'a.yaml': secret('data: { password: "!hunter2" }') })
    expect((await open()).manifests.secret('default', 'own')).toBeUndefined()
    expect(said.join()).toMatch(/data\.password: give base64, or use stringData/)
    expect(said.join()).not.toContain('hunter2')
  })
})

it('a directory behind a symbolic link is watched like any other', async () => {
  const { directory, write } = await someManifests({ 'a.yaml': anOrganization('acme') })
  const link = join(await temporaryDirectory(), 'link')
  await symlink(directory, link)
  const manifests = await ManifestDirectory.open({
    path: link,
    state: await StateDirectory.open(await temporaryDirectory()),
    now: Date.now,
    say: () => {},
  })
  onTestFinished(() => manifests.close())
  await write('b.yaml', anOrganization('globex'))
  await eventually('the other', () => manifests.objects().length === 2)
})
