import { stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { provideSealingKeys } from '../../standalone/sealing.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { aSealingKeyText } from '../fixtures/sealing.ts'
import { temporaryDirectory } from './temporary-directory.ts'

test('sealing keys are made at the first start, for the owner alone, and found at the next', async () => {
  const state = await StateDirectory.open(await temporaryDirectory())
  const sealed = (await provideSealingKeys(state)).seal('x', 'c')
  expect((await stat(state.pathOf('sealing-keys'))).mode & 0o777).toBe(0o600)
  const again = await provideSealingKeys(await StateDirectory.open(state.path))
  expect(again.open(sealed, 'c')).toBe('x')
  await writeFile(state.pathOf('sealing-keys'), aSealingKeyText())
  expect((await provideSealingKeys(state)).open(sealed, 'c')).toBeUndefined()
})

test('sealing keys that are damaged are not overwritten', async () => {
  const state = await StateDirectory.open(await temporaryDirectory())
  await writeFile(state.pathOf('sealing-keys'), 'oops')
  await expect(provideSealingKeys(state)).rejects.toMatchObject({ code: 'record-damaged' })
  expect(await state.readText('sealing-keys')).toBe('oops')
})
