import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate, type TestCertificate } from '../../test/fixtures/certificates.ts'
import type { Workbench } from '../workbench.ts'

/** One whose files go with the workbench. */
export async function benchCertificate(bench: Workbench): Promise<TestCertificate> {
  const made = await makeCertificate()
  const [certFile, keyFile] = [join(bench.directory, 'tls.crt'), join(bench.directory, 'tls.key')]
  writeFileSync(certFile, made.cert)
  writeFileSync(keyFile, made.key, { mode: 0o600 })
  await made.remove()
  return { ...made, certFile, keyFile }
}
