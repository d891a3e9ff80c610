import { createPrivateKey, X509Certificate } from 'node:crypto'
import { hostname } from 'node:os'
import { generate } from 'selfsigned'
import type { Clock } from '#core/clock.ts'
import type { StateDirectory } from './state-directory.ts'

/** What TLS listeners need, and the CA that clients are to trust. */
export interface Certificates {
  readonly cert: string
  readonly key: string
  readonly ca: string
  /** For `mosquitto_sub --cafile` and friends. */
  readonly caPath: string
}

interface Pair {
  readonly cert: string
  readonly key: string
}

const dayMs = 86_400_000
/** Some clients refuse server certificates of a longer life. */
const serverLifeMs = 397 * dayMs
const caLifeMs = 10 * 365 * dayMs
const renewBeforeMs = 30 * dayMs
const remedy = 'delete ca.pem, ca-key.pem, server.pem and server-key.pem to have new ones made'

/**
 * A CA and a server certificate of the machine's own: made at first start, kept in the state directory, renewed
 * when they are about to expire or do not name this machine any more. While the CA lives, clients that trust
 * it go on trusting.
 */
export async function provideCertificates(
  state: StateDirectory,
  now: Clock,
  names: readonly string[] = [hostname()],
): Promise<Certificates> {
  const ca = (await usable(state, 'ca', now)) ?? (await store(state, 'ca', await generateCa(now)))
  const present = await usable(state, 'server', now)
  const isOurs = (pair: Pair): boolean => {
    const certificate = new X509Certificate(pair.cert)
    const named = names.every((name) => certificate.checkHost(name) !== undefined)
    return named && certificate.verify(new X509Certificate(ca.cert).publicKey)
  }
  const server =
    present !== undefined && isOurs(present)
      ? present
      : await store(state, 'server', await generateServer(ca, names, now))
  return { cert: server.cert, key: server.key, ca: ca.cert, caPath: state.pathOf('ca.pem') }
}

/** The pair as it was stored; undefined when there is none or it expires soon. */
async function usable(state: StateDirectory, name: string, now: Clock): Promise<Pair | undefined> {
  const cert = await state.readText(`${name}.pem`)
  const key = await state.readText(`${name}-key.pem`)
  if (cert === undefined || key === undefined) return undefined
  const certificate = parsePair(cert, key)
  if (certificate === undefined) throw state.damaged(`${name}.pem or ${name}-key.pem`, remedy)
  return certificate.validToDate.getTime() - now() > renewBeforeMs ? { cert, key } : undefined
}

/** Undefined when one of them is damaged or they do not belong together. */
function parsePair(cert: string, key: string): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(cert)
    return certificate.checkPrivateKey(createPrivateKey(key)) ? certificate : undefined
  } catch {
    return undefined
  }
}

async function store(state: StateDirectory, name: string, pair: Pair): Promise<Pair> {
  await state.writeText(`${name}-key.pem`, pair.key)
  await state.writeText(`${name}.pem`, pair.cert)
  return pair
}

async function generateCa(now: Clock): Promise<Pair> {
  const { cert, private: key } = await generate(
    [{ name: 'commonName', value: `CloudSignal standalone CA of ${hostname()}` }],
    {
      keyType: 'ec',
      algorithm: 'sha256',
      ...lifeOf(now(), caLifeMs),
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    },
  )
  return { cert, key }
}

async function generateServer(ca: Pair, names: readonly string[], now: Clock): Promise<Pair> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca,
    ...lifeOf(now(), serverLifeMs),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...[...new Set(['localhost', ...names])].map((value) => ({ type: 2 as const, value })),
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  })
  return { cert, key }
}

/** From a little before now: clocks of clients may be behind. */
function lifeOf(nowMs: number, lifeMs: number): { notBeforeDate: Date; notAfterDate: Date } {
  return { notBeforeDate: new Date(nowMs - dayMs), notAfterDate: new Date(nowMs + lifeMs - dayMs) }
}
