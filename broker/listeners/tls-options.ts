import { constants } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import type { Certificate } from './certificate-files.ts'

const ciphersOfTls13 = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256']
/** What was said stays secret when the key gets lost later. */
const ciphersOfTls12 = ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].flatMap((cipher) => [
  `ECDHE-ECDSA-${cipher}`,
  `ECDHE-RSA-${cipher}`,
])
const ciphers = [...ciphersOfTls13, ...ciphersOfTls12].join(':')

export function tlsOptions({ cert, key }: Certificate, handshakeTimeoutMs: number): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers,
    // One client could keep a core busy with handshakes over one connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: handshakeTimeoutMs,
  }
}

/**
 * Of authorities nothing is said: who belongs to which organization is nobody's business. Whether a certificate means
 * anything is judged with CONNECT, by the authorities of one organization.
 */
export const askForCertificate = { requestCert: true, rejectUnauthorized: false } as const
