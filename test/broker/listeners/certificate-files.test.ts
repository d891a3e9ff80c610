import { copyFile, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import {
  type Certificate,
  readCertificate,
  watchCertificate,
} from '../../../broker/listeners/certificate-files.ts'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'

let files: TestCertificate
let renewed: TestCertificate
let stop = (): void => {}
let used: Certificate[]

beforeEach(async () => {
  files = await makeCertificate()
  renewed = await makeCertificate()
  used = []
  const current = await readCertificate(files)
  stop = watchCertificate(files, {
    current,
    everyMs: 20,
    use: (found) => void used.push(found),
    log: silentLog,
  })
})

afterEach(async () => {
  stop()
  await Promise.all([files.remove(), renewed.remove()])
})

describe('watched certificate files', () => {
  test('are used once when both have changed, and not while they do not belong together', async () => {
    await copyFile(renewed.certFile, files.certFile)
    await pause(100)
    expect(used).toEqual([])
    await copyFile(renewed.keyFile, files.keyFile)
    await expect.poll(() => used).toEqual([{ cert: renewed.cert, key: renewed.key }])
    await pause(100)
    expect(used).toHaveLength(1)
  })

  test.each(['no certificate', ''])(
    'that are damaged (%j) change nothing, until they are whole again',
    async (text) => {
      await writeFile(files.certFile, text)
      await pause(100)
      expect(used).toEqual([])
      await writeFile(files.keyFile, text)
      await copyFile(renewed.certFile, files.certFile)
      await pause(100)
      expect(used).toEqual([])
      await copyFile(renewed.keyFile, files.keyFile)
      await expect.poll(() => used).toHaveLength(1)
    },
  )
})

test('a file that can not be read, or a key of another certificate, is named', async () => {
  await expect(readCertificate({ ...files, keyFile: '/nowhere' })).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringContaining('/nowhere'),
  })
  await expect(readCertificate({ ...files, keyFile: renewed.keyFile })).rejects.toMatchObject({
    code: 'invalid-settings',
  })
})
