import fc from 'fast-check'
import { gzipSync } from 'node:zlib'

/** What no client of good will sends. */

export const hostileTexts: readonly string[] = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\uFEFF',
  '\r\nset-cookie: a=b',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '../../etc/passwd',
  '%00',
  '*',
  '#',
  '+/+/#',
  '{all}',
  'cs:{org_k7xm4pqr2n5t}:id:api-key',
  '${7*7}',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  'x'.repeat(20_000),
  '😀'.repeat(60),
  'a@b@org_k7xm4pqr2n5t',
  'eyJhbGciOiJub25lIn0.e30.',
  'eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA',
]

export const hostileValues: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1e21,
    0.5,
    Number.MAX_SAFE_INTEGER,
    [],
    {},
    [[]],
    [null],
  ),
  fc.constantFrom(...hostileTexts),
  fc.string({ unit: 'binary' }),
  fc.jsonValue({ maxDepth: 4 }),
)

/** Bodies that are no JSON, or JSON as no library writes it. */
export const hostileBodies: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .constantFrom(
      '',
      '{',
      '{"token":',
      'null',
      '[]',
      '"x"',
      '1e999',
      '{"token":"x","token":"y"}',
      '{"__proto__":{"token":"x"},"token":"x"}',
      '{"token":"x","constructor":{"prototype":{"admin":true}}}',
      '\uFEFF{"token":"x"}',
      "{'token':'x'}",
      '{"token":"\\ud800"}',
      '{"ttl":1e999,"token":"x"}',
      '['.repeat(10_000),
      '{"a":'.repeat(3_000),
      `{"token":"${'x'.repeat(17 * 1024)}"}`,
      `{"token":"${'x'.repeat(40 * 1024)}"}`,
      'grant_type=a&grant_type=b&subject_token=%ff&__proto__=x',
      'a=1&'.repeat(2_000),
    )
    .map((text) => Buffer.from(text)),
  fc.constant(gzipSync('{"token":"x"}')),
  fc.constant(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
)
