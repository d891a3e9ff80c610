import { describe, expect, test } from 'vitest'
import { Newcomers } from '../../../broker/connection/newcomers.ts'

describe('newcomers', () => {
  test('of one address are as many as there may be, and have room again when one leaves', () => {
    const newcomers = new Newcomers(2, 100)
    expect([1, 2, 3].map(() => newcomers.enter('192.0.2.1'))).toEqual([true, true, false])
    expect(newcomers.enter('192.0.2.2')).toBe(true)
    newcomers.leave('192.0.2.1')
    expect([1, 2].map(() => newcomers.enter('192.0.2.1'))).toEqual([true, false])
  })

  test('of a network of IPv6, whose addresses one subscriber has, count together', () => {
    const newcomers = new Newcomers(2, 100)
    const from = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '2001:db8:1:2:3:4:5:6', '2001:db8:1:3::1']
    expect(from.map((address) => newcomers.enter(address))).toEqual([true, true, false, true])
    newcomers.leave('2001:db8:1:2::1')
    expect(newcomers.enter('2001:db8:1:2::9')).toBe(true)
    expect(newcomers.enter('::ffff:192.0.2.1') && newcomers.enter('192.0.2.1')).toBe(true)
    expect(newcomers.enter('192.0.2.1')).toBe(false)
  })

  test('of all addresses together are no more than can be served in time', () => {
    const newcomers = new Newcomers(2, 3)
    const from = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']
    expect(from.map((address) => newcomers.enter(address))).toEqual([true, true, true, false])
    newcomers.leave('192.0.2.9')
    expect(newcomers.enter('192.0.2.4')).toBe(false)
    newcomers.leave('192.0.2.1')
    expect(newcomers.enter('192.0.2.4')).toBe(true)
  })
})
