import { isIPv4, isIPv6 } from 'node:net'

/**
 * - `more`       it may become a header
 * - `malformed`  it is none, or one that is not for a stream, or one that is too long
 * - otherwise how long the header is, and whom it names; nobody where the proxy connects for itself, or does not know
 */
export type ProxyHeader = 'more' | 'malformed' | { readonly length: number; readonly address?: string }

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const firstOfV1 = Buffer.from('PROXY ')
const longestV1 = 107
const fixedV2 = 16
/** Addresses and TLVs of version 2; what proxies send of these is far less. */
const longestRestV2 = 4_096

/**
 * What a proxy says first of whom it speaks for (haproxy.org: The PROXY protocol, versions 1 and 2). Strict: a header is
 * believed, so that whatever is not exactly one is none. TLVs are skipped.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAs(bytes, signature)) return readV2(bytes)
  return startsAs(bytes, firstOfV1) ? readV1(bytes) : 'malformed'
}

/** As far as it has come. */
function startsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, longestV1).indexOf('\r\n')
  if (end < 0) return bytes.length < longestV1 ? 'more' : 'malformed'
  const length = end + 2
  const words = bytes.toString('latin1', firstOfV1.length, end).split(' ')
  const [family, source = '', destination = '', ...ports] = words
  // What follows it says nothing.
  if (family === 'UNKNOWN') return { length }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined
  if (isAddress === undefined || ports.length !== 2) return 'malformed'
  const isRight = [source, destination].every((one) => isAddress(one) && !one.includes('%'))
  return isRight && ports.every(isPort) ? { length, address: source } : 'malformed'
}

const isPort = (text: string): boolean => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535

function readV2(bytes: Buffer): ProxyHeader {
  if (bytes.length < fixedV2) return 'more'
  const versionAndCommand = bytes[12] ?? 0
  const family = bytes[13] ?? 0
  const rest = bytes.readUInt16BE(14)
  if (versionAndCommand >> 4 !== 2 || rest > longestRestV2) return 'malformed'
  const length = fixedV2 + rest
  const command = versionAndCommand & 15
  if (command > 1) return 'malformed'
  const isForItself = command === 0 || family === familiesV2.unknown
  if (isForItself) return bytes.length < length ? 'more' : { length }
  const addressBytes = family === familiesV2.tcp4 ? 4 : family === familiesV2.tcp6 ? 16 : undefined
  // Two addresses and two ports.
  if (addressBytes === undefined || rest < addressBytes * 2 + 4) return 'malformed'
  if (bytes.length < length) return 'more'
  const source = bytes.subarray(fixedV2, fixedV2 + addressBytes)
  return { length, address: addressBytes === 4 ? source.join('.') : ipv6Text(source) }
}

const familiesV2 = { unknown: 0x00, tcp4: 0x11, tcp6: 0x21 } as const

function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  // As everybody writes it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
