import { expect, test } from 'vitest'
import { AddressRanges } from '#core/network/address-ranges.ts'

test('an address lies in a range or not, of either family, also where IPv4 is written as IPv6', () => {
  const ranges = AddressRanges.parse(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'])
  const inside = ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8:1::1', '2001:db8::1%eth0']
  const outside = ['11.0.0.1', '192.0.2.8', '2001:db9::1', '::1', '::ffff:11.0.0.1', 'unknown', '']
  expect(inside.map((address) => ranges?.has(address))).toEqual(inside.map(() => true))
  expect(outside.map((address) => ranges?.has(address))).toEqual(outside.map(() => false))
})

test('nobody is in no range, and everybody of a family in all of it', () => {
  expect(AddressRanges.parse([])?.has('10.0.0.1')).toBe(false)
  expect(AddressRanges.parse(['0.0.0.0/0'])?.has('10.0.0.1')).toBe(true)
  expect(AddressRanges.parse(['0.0.0.0/0'])?.has('::1')).toBe(false)
})

test.each([
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0/8',
  '10.0.0.0/8/8',
  '10.0.0.0/',
  '::/129',
  'fe80::1%eth0',
  'localhost',
  '',
])('%j is no range', (text) => {
  expect(AddressRanges.parse(['10.0.0.0/8', text])).toBeUndefined()
})
