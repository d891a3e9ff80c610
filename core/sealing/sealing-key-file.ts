import { readFile } from 'node:fs/promises'
import { DomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { type Setting, text } from '#core/process/settings.ts'
import { parseSealingKeys, type SealingKeys } from './sealing-keys.ts'

/** For the programs that handle secrets of providers. The broker has no such setting: it never needs one. */
export const sealingSetting = {
  name: 'CLOUDSIGNAL_SEALING_KEYS_FILE',
  description:
    'File of the keys that secrets of identity providers are sealed with in Redis: 32 bytes in base64, one a line; the first seals, the others open. Read again when it changes. The same for operator and token service.',
  parse: text,
  default: '',
} satisfies Setting<string>

export interface SealingKeyFile {
  /** Those that stand in the file now. Undefined where no file is given. */
  readonly keys: SealingKeys | undefined
  close(): void
}

export interface SealingKeyFileOptions {
  readonly log: Log
  /** The keys are others than before. */
  readonly onChange?: () => void
  readonly everyMs?: number
}

/**
 * Reads the file now and again and again, so that a key is rotated without a restart. By content, because a Secret is
 * mounted by way of links; a file that can not be used later leaves the former keys in force. Rejects with
 * `invalid-settings` when it can not be used now.
 */
export async function openSealingKeys(
  path: string,
  { log, onChange = () => {}, everyMs = 1_000 }: SealingKeyFileOptions,
): Promise<SealingKeyFile> {
  if (path === '') return { keys: undefined, close() {} }
  let known = await readKeyFile(path)
  let complaint = ''
  let isLooking = false
  const look = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    try {
      const found = await readKeyFile(path)
      complaint = ''
      if (found.text === known.text) return
      known = found
      log.info({ file: path }, 'other sealing keys are in use')
      onChange()
    } catch (error) {
      const fields = errorFields(error)
      if (JSON.stringify(fields) === complaint) return
      complaint = JSON.stringify(fields)
      log.warn(fields, 'the sealing keys could not be read again; the former ones stay')
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => void look(), everyMs).unref()
  return {
    keys: {
      seal: (secret, context) => known.keys.seal(secret, context),
      open: (sealed, context) => known.keys.open(sealed, context),
      isCurrent: (sealed) => known.keys.isCurrent(sealed),
    },
    close: () => clearInterval(timer),
  }
}

async function readKeyFile(path: string): Promise<{ readonly text: string; readonly keys: SealingKeys }> {
  const content = await contentOf(path)
  const keys = parseSealingKeys(content)
  if (keys !== undefined) return { text: content, keys }
  throw unusable(path, 'give a key a line, each 32 bytes in base64, such as of openssl rand -base64 32')
}

async function contentOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw unusable(path, 'name a file that can be read', cause)
  }
}

function unusable(path: string, remedy: string, cause?: unknown): DomainError {
  const problems = [{ field: sealingSetting.name, value: path, remedy }]
  const options = { problems, ...(cause === undefined ? {} : { cause }) }
  return new DomainError(
    'invalid-settings',
    `the sealing keys in ${path} can not be used: ${remedy}`,
    options,
  )
}
