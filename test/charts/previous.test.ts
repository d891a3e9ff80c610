import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { changes, keptOf, type LiveObject } from './kept.ts'
import { isJustBefore, previousChart, previousPackages, previousPrograms, versionOf } from './previous.ts'
import { chartDirectory, runHelm } from './render.ts'

describe('the version of the chart before this one', () => {
  test('is the one just before: whoever raises the version renews it, as test/charts/previous/README.md says', async () => {
    expect(previousPackages).toHaveLength(1)
    const versions = [await versionOf(previousChart), await versionOf(chartDirectory)] as const
    expect([...versions, isJustBefore(...versions)]).toEqual([...versions, true])
    const told = await readFile(new URL('previous/README.md', import.meta.url), 'utf8')
    expect(told).toContain(previousPackages[0])
    expect(existsSync(previousPrograms)).toBe(true)
  })

  test.each([
    ['0.1.0', '0.2.0', true],
    ['0.1.7', '0.2.0', true],
    ['0.2.0', '0.2.1', true],
    ['0.9.3', '1.0.0', true],
    ['0.2.0', '0.2.0', false],
    ['0.1.0', '0.2.1', false],
    ['0.1.0', '0.3.0', false],
    ['0.3.0', '0.2.0', false],
    ['0.9.0', '2.0.0', false],
    ['0.1.0', '1.2.0', false],
  ])('%s just before %s: %s', (earlier, later, expected) => {
    expect(isJustBefore(earlier, later)).toBe(expected)
  })

  test('had no value that this one refuses', async () => {
    const values = await runHelm(['show', 'values', previousChart])
    const parameters = ['template', 'cs', chartDirectory, '--values', '-']
    expect(await runHelm(parameters, values)).toContain('kind: Deployment')
    await expect(runHelm(parameters, `${values}\nbrokers: {}\n`)).rejects.toThrow(/brokers/)
  })
})

describe('what an upgrade has to leave alone', () => {
  const secret: LiveObject = { kind: 'Secret', metadata: { name: 'key', uid: '1' }, data: { key: 'YQ==' } }
  const service: LiveObject = {
    kind: 'Service',
    metadata: { name: 'broker', uid: '2' },
    spec: { selector: { app: 'broker' }, clusterIP: '10.0.0.7' },
  }
  const release: LiveObject = { ...secret, type: 'helm.sh/release.v1', metadata: { name: 'cs', uid: '3' } }
  const before = keptOf([secret, service, release])

  test('is the same when objects are added', () => {
    const more = { ...secret, metadata: { name: 'more', uid: '4' } }
    expect(changes(before, keptOf([service, more, secret]))).toEqual([])
  })

  test.each<[string, readonly LiveObject[], readonly string[]]>([
    ['what a Secret holds', [{ ...secret, data: { key: 'Yg==' } }, service], ['Secret key: data']],
    ['that a Secret is there', [service], ['Secret key: identity', 'Secret key: data']],
    [
      'which object it is',
      [secret, { ...service, metadata: { name: 'broker', uid: '9' } }],
      ['Service broker: identity'],
    ],
    [
      'which pods are meant',
      [secret, { ...service, spec: { ...service.spec, selector: { app: 'other' } } }],
      ['Service broker: pods'],
    ],
    [
      'the address',
      [secret, { ...service, spec: { ...service.spec, clusterIP: '10.0.0.8' } }],
      ['Service broker: address'],
    ],
  ])('includes %s', (_, after, expected) => {
    expect(changes(before, keptOf(after))).toEqual(expected)
  })
})
