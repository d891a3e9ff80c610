import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from 'typebox'
import { describe, expect, it } from 'vitest'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const schema = Type.Object({ count: Type.Integer() })
const remedy = 'delete it to begin anew'
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

describe('the state directory', () => {
  it('gives back what was written, also when opened again', async () => {
    const path = join(await temporaryDirectory(), 'state')
    await (await StateDirectory.open(path)).writeJson('a.json', { count: 1 })
    expect(await (await StateDirectory.open(path)).readJson('a.json', schema, remedy)).toEqual({ count: 1 })
  })

  it('knows nothing of a file that was never written', async () => {
    const state = await StateDirectory.open(await temporaryDirectory())
    expect(await state.readJson('a.json', schema, remedy)).toBeUndefined()
  })

  it('is open to its owner alone, also when it was looser before', async () => {
    const path = await temporaryDirectory()
    await chmod(path, 0o755)
    const state = await StateDirectory.open(path)
    await state.writeJson('a.json', {})
    expect([await modeOf(path), await modeOf(join(path, 'a.json'))]).toEqual([0o700, 0o600])
  })

  it('leaves nothing but the file behind, and the last of many writes in it', async () => {
    const path = await temporaryDirectory()
    const state = await StateDirectory.open(path)
    await Promise.all(Array.from({ length: 20 }, (_, count) => state.writeJson('a.json', { count })))
    expect(await readdir(path)).toEqual(['a.json'])
    expect(await state.readJson('a.json', schema, remedy)).toEqual({ count: 19 })
  })

  it.for(['{"count":', '{"count":"many"}', ''])(
    'names a damaged file and the remedy, and leaves it: %j',
    async (text) => {
      const path = await temporaryDirectory()
      await writeFile(join(path, 'a.json'), text)
      const state = await StateDirectory.open(path)
      await expect(state.readJson('a.json', schema, remedy)).rejects.toMatchObject({
        code: 'record-damaged',
        message: `${join(path, 'a.json')} is damaged and was left as it is: ${remedy}`,
      })
      expect(await readFile(join(path, 'a.json'), 'utf8')).toBe(text)
    },
  )

  it('says which directory can not be used and how to choose another', async () => {
    const path = join(await temporaryDirectory(), 'file')
    await writeFile(path, '')
    await expect(StateDirectory.open(path)).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringMatching(/file can not be used: .*--state/),
    })
  })
})
