import { randomBytes } from 'node:crypto'
import { parseSealingKeys, type SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { StateDirectory } from './state-directory.ts'

const file = 'sealing-keys'

/** What secrets of providers are sealed with, made at the first start; a key a line, the first one seals. */
export async function provideSealingKeys(state: StateDirectory): Promise<SealingKeys> {
  const known = await state.readText(file)
  const text = known ?? `${randomBytes(32).toString('base64')}\n`
  const keys = parseSealingKeys(text)
  if (keys === undefined)
    throw state.damaged(file, 'restore it, or delete it: everything is then sealed anew')
  if (known === undefined) await state.writeText(file, text)
  return keys
}
