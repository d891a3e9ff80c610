import { describe, expect, test } from 'vitest'
import { addressGroup } from '#core/network/address-group.ts'

describe('of an address counts', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::'],
    ['2001:db8::6', '2001:db8:0:0::'],
    ['2001:DB8:1:2::1', '2001:db8:1:2::'],
    ['::1', '0:0:0:0::'],
    ['fe80::1%eth0', 'fe80:0:0:0::'],
    ['', ''],
  ])('of %s: %s', (address, group) => expect(addressGroup(address)).toBe(group))

  test('one subscriber’s /64 once, and the next one’s apart', () => {
    expect(addressGroup('2001:db8:1:2::1')).toBe(addressGroup('2001:db8:1:2:ffff:ffff:ffff:ffff'))
    expect(addressGroup('2001:db8:1:3::1')).not.toBe(addressGroup('2001:db8:1:2::1'))
  })
})
