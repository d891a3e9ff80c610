import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { DomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'

/** PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** Rejects with `invalid-settings` when a file can not be read or the two do not belong together. */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)])
  try {
    createSecureContext({ cert, key })
    // An empty key, as of a file that is being written, would pass for none.
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error('they do not belong together')
  } catch (cause) {
    throw new DomainError('invalid-settings', `${certFile} and ${keyFile} are no certificate and its key`, {
      cause,
    })
  }
  return { cert, key }
}

/**
 * Looks at the files again and again: a renewed certificate is used without a restart. By content, because a
 * Secret is mounted by way of links; two files that do not fit, as between two writes, wait for the next look.
 * Returns what stops it.
 */
export function watchCertificate(
  files: CertificateFiles,
  { current, everyMs, use, log }: WatchOptions,
): () => void {
  let known = current
  let complaint = ''
  const look = async (): Promise<void> => {
    try {
      const found = await readCertificate(files)
      complaint = ''
      if (found.cert === known.cert && found.key === known.key) return
      known = found
      use(found)
      log.info({ file: files.certFile }, 'a new certificate is in use')
    } catch (error) {
      const fields = errorFields(error)
      if (JSON.stringify(fields) === complaint) return
      complaint = JSON.stringify(fields)
      log.warn(fields, 'the certificate could not be read again; the former one stays')
    }
  }
  const timer = setInterval(() => void look(), everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

interface WatchOptions {
  readonly current: Certificate
  readonly everyMs: number
  readonly use: (certificate: Certificate) => void
  readonly log: Log
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new DomainError('invalid-settings', `${path} can not be read: give a PEM file`, { cause })
  }
}
