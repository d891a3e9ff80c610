import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readProxyHeader } from '../../../broker/listeners/proxy-header.ts'
import { proxyV1, proxyV2, tlv } from '../../fixtures/proxy-header.ts'

const v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
const text = (line: string): Buffer => Buffer.from(line)

const good: readonly (readonly [string, Buffer, string | undefined])[] = [
  ['version 1 of IPv4', proxyV1(), '203.0.113.9'],
  ['version 1 of IPv6', proxyV1('2001:db8::1', 'TCP6'), '2001:db8::1'],
  ['version 1 of nobody', text('PROXY UNKNOWN\r\n'), undefined],
  ['version 1 of somebody it does not know', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  ['version 2 of IPv4', proxyV2(), '203.0.113.9'],
  ['version 2 of IPv6', proxyV2({ address: v6 }), '2001:db8::1'],
  ['version 2 with TLVs', proxyV2({ tlvs: Buffer.concat([tlv(4, 3), tlv(0xea, 200)]) }), '203.0.113.9'],
  ['version 2 of the proxy itself', proxyV2({ command: 0 }), undefined],
  ['version 2 of nothing', proxyV2({ family: 0 }), undefined],
]

describe('a PROXY header', () => {
  test.each(good)('in %s names whom it is from, however it is followed', (_name, header, address) => {
    const expected = { length: header.length, ...(address === undefined ? {} : { address }) }
    expect(readProxyHeader(header)).toEqual(expected)
    expect(readProxyHeader(Buffer.concat([header, text('PROXY \r\n\r\nand more')]))).toEqual(expected)
  })

  test.each(good)('in %s is awaited as long as it is cut off, byte by byte', (_name, header) => {
    for (let length = 0; length < header.length; length += 1) {
      expect([length, readProxyHeader(header.subarray(0, length))]).toEqual([length, 'more'])
    }
  })

  test.each([
    ['no header', text('\x10\x0cMQTT')],
    ['TLS', Buffer.from('16030100', 'hex')],
    ['lower case', text('proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n')],
    ['a family that there is not', text('PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n')],
    ['UDP', text('PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n')],
    ['an address of the other family', text('PROXY TCP4 ::1 ::1 1 1\r\n')],
    ['an address with a zone', text('PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n')],
    ['a name', text('PROXY TCP4 localhost 1.2.3.4 1 1\r\n')],
    ['a port too many', text('PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n')],
    ['a port too few', text('PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n')],
    ['a port that is none', text('PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n')],
    ['two spaces', text('PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n')],
    ['a line without an end', text(`PROXY UNKNOWN ${'x'.repeat(107)}`)],
    ['a line that is too long', text(`PROXY UNKNOWN ${'x'.repeat(107)}\r\n`)],
    ['another version', proxyV2({ version: 3 })],
    ['another command', proxyV2({ command: 2 })],
    ['UDP in version 2', proxyV2({ family: 0x12 })],
    ['a socket of Unix', proxyV2({ family: 0x31 })],
    ['less than two addresses', proxyV2({ length: 11 })],
    ['more than anybody sends', proxyV2({ length: 4_097 })],
    ['all that there is room for', proxyV2({ length: 65_535 })],
  ])('with %s is none', (_name, bytes) => {
    expect(readProxyHeader(bytes)).toBe('malformed')
  })

  test('is read from any bytes without an error, and never beyond them', () => {
    const start = fc.constantFrom(
      Buffer.alloc(0),
      text('PROXY '),
      text('PROXY TCP4 '),
      proxyV2().subarray(0, 13),
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
        const bytes = Buffer.concat([head, tail])
        const header = readProxyHeader(bytes)
        if (typeof header === 'object') expect(header.length).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})
