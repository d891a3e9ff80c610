import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSealingKeys, type SealingKeyFile } from '#core/sealing/sealing-key-file.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aSealingKeyText, sealingKeysOf } from '../../fixtures/sealing.ts'

let directory: string
let path: string
let file: SealingKeyFile | undefined
const logged: string[] = []
const note = (fields: object, message: string): void =>
  void logged.push(`${message} ${JSON.stringify(fields)}`)
const log = { debug: note, info: note, warn: note, error: note }

beforeEach(async () => {
  logged.length = 0
  directory = await mkdtemp(join(tmpdir(), 'cloudsignal-sealing-'))
  path = join(directory, 'keys')
})
afterEach(async () => {
  file?.close()
  file = undefined
  await rm(directory, { recursive: true })
})

describe('a file of sealing keys', () => {
  test('seals by its first key and opens by each; comments and empty lines are none', async () => {
    const [fresh, old] = [aSealingKeyText(), aSealingKeyText()]
    await writeFile(path, `# of November\n${fresh}\n\n  ${old}\r\n`)
    file = await openSealingKeys(path, { log })
    expect(file.keys?.open(sealingKeysOf(old).seal('x', 'c'), 'c')).toBe('x')
    expect(sealingKeysOf(fresh).open(file.keys?.seal('y', 'c') ?? '', 'c')).toBe('y')
  })

  test('is no keys where none is named', async () => {
    file = await openSealingKeys('', { log })
    expect(file.keys).toBeUndefined()
  })

  test.each([
    ['is empty', ''],
    ['holds what is no key', 'c2hvcnQ=\n'],
  ])('that %s is refused with what to do, without a word of what stands there', async (_, text) => {
    await writeFile(path, text)
    const opening = openSealingKeys(path, { log })
    await expect(opening).rejects.toMatchObject({
      code: 'invalid-settings',
      problems: [{ field: 'CLOUDSIGNAL_SEALING_KEYS_FILE', value: path }],
    })
    await expect(opening).rejects.toThrow(/openssl rand -base64 32/)
    await expect(opening).rejects.not.toThrow(/c2hvcnQ/)
  })

  test('that is not there is refused', async () => {
    await expect(openSealingKeys(path, { log })).rejects.toThrow(/name a file that can be read/)
  })

  test('is read again when a mounted Secret changes, and says so once', async () => {
    const [first, second] = [aSealingKeyText(), aSealingKeyText()]
    // As kubelet does it: ..data is a link that is replaced.
    const version = async (name: string, text: string): Promise<void> => {
      await writeFile(join(directory, name), text)
      await symlink(name, join(directory, 'next'))
      await rename(join(directory, 'next'), path)
    }
    await version('1', first)
    let changes = 0
    file = await openSealingKeys(path, { log, everyMs: 5, onChange: () => void (changes += 1) })
    const sealed = file.keys?.seal('x', 'c') ?? ''
    await version('2', `${second}\n${first}\n`)
    await eventually('the second key is in use', () => changes === 1)
    expect(file.keys?.isCurrent(sealed)).toBe(false)
    expect(file.keys?.open(sealed, 'c')).toBe('x')
    expect(logged.join()).not.toMatch(new RegExp(`${RegExp.escape(first)}|${RegExp.escape(second)}`))
  })

  test('that can not be used any more leaves the keys in force, and complains once', async () => {
    await writeFile(path, aSealingKeyText())
    file = await openSealingKeys(path, { log, everyMs: 2 })
    const sealed = file.keys?.seal('x', 'c') ?? ''
    await writeFile(path, 'damaged')
    await eventually('it complains', () => logged.length > 0)
    await writeFile(path, '')
    await rm(path)
    await eventually('it complains of the other', () => logged.length > 1)
    expect(logged.filter((line) => line.includes('openssl'))).toHaveLength(1)
    expect(file.keys?.open(sealed, 'c')).toBe('x')
  })
})
