import { beforeEach, describe, expect, test } from 'vitest'
import { ConnectThrottle } from '../../../broker/admission/connect-throttle.ts'

const minute = 60_000
const limits = { perClient: 5, perName: 20, perAddress: 50 }
const [home, away] = ['192.0.2.1', '198.51.100.1']

let now: number
let throttle: ConnectThrottle

beforeEach(() => {
  now = 0
  throttle = new ConnectThrottle(limits, () => now)
})

const times = (count: number, action: (index: number) => void): void => {
  for (let index = 0; index < count; index += 1) action(index)
}
const fromMany = (count: number, name = 'ada'): void =>
  times(count, (index) => throttle.failed(name, `203.0.113.${index}`))

describe('whoever fails', () => {
  test('may go on until the limit of the name and the address, and again one by one as time passes', () => {
    times(5, () => {
      expect(throttle.refuses('ada', away)).toBeUndefined()
      throttle.failed('ada', away)
    })
    expect(throttle.refuses('ada', away)).toBe('throttled-name')
    now += minute / 5 - 1
    expect(throttle.refuses('ada', away)).toBe('throttled-name')
    now += 1
    expect(throttle.refuses('ada', away)).toBeUndefined()
    throttle.failed('ada', away)
    expect(throttle.refuses('ada', away)).toBe('throttled-name')
    now += minute
    expect(throttle.refuses('ada', away)).toBeUndefined()
  })

  test('harms neither the name elsewhere nor other names of the address', () => {
    times(5, () => throttle.failed('ada', away))
    expect(throttle.refuses('ada', home)).toBeUndefined()
    expect(throttle.refuses('bob', away)).toBeUndefined()
  })

  test('with many names from one address is held up there, with and without a name', () => {
    times(50, (index) => throttle.failed(`user_${index}`, away))
    expect(throttle.refuses('ada', away)).toBe('throttled-address')
    expect(throttle.refuses(undefined, away)).toBe('throttled-address')
    expect(throttle.refuses('ada', home)).toBeUndefined()
  })

  test('without a name counts for the address alone', () => {
    times(50, () => throttle.failed(undefined, away))
    expect(throttle.refuses(undefined, away)).toBe('throttled-address')
    expect(throttle.refuses('ada', home)).toBeUndefined()
  })

  test('from many addresses with one name is held up there', () => {
    fromMany(20)
    expect(throttle.refuses('ada', away)).toBe('throttled-name')
    expect(throttle.refuses('bob', away)).toBeUndefined()
  })

  test('from many addresses of one IPv6 network is one', () => {
    times(5, (index) => throttle.failed('ada', `2001:db8:1:2::${index}`))
    expect(throttle.refuses('ada', '2001:db8:1:2:ffff::1')).toBe('throttled-name')
    expect(throttle.refuses('ada', '2001:db8:1:3::1')).toBeUndefined()
  })

  test('waits no longer because more attempts were under way at once', () => {
    times(1_000, () => throttle.failed('ada', away))
    now += minute / 5
    expect(throttle.refuses('ada', away)).toBeUndefined()
  })
})

describe('a good device', () => {
  beforeEach(() => throttle.succeeded('ada', home))

  test('gets in from its own address while its name is attacked from elsewhere', () => {
    fromMany(1_000)
    expect(throttle.refuses('ada', away)).toBe('throttled-name')
    expect(throttle.refuses('ada', home)).toBeUndefined()
  })

  test('gets in while its address is full of others that fail', () => {
    times(1_000, (index) => throttle.failed(`user_${index}`, home))
    expect(throttle.refuses('bob', home)).toBe('throttled-address')
    expect(throttle.refuses('ada', home)).toBeUndefined()
  })

  test('that fails itself is held up as everybody', () => {
    times(5, () => throttle.failed('ada', home))
    expect(throttle.refuses('ada', home)).toBe('throttled-name')
  })

  test('is a stranger after a day', () => {
    now += 24 * 60 * minute
    fromMany(20)
    expect(throttle.refuses('ada', home)).toBe('throttled-name')
  })
})

test('a limit of 0 is none', () => {
  throttle = new ConnectThrottle({ perClient: 0, perName: 0, perAddress: 0 }, () => now)
  times(10_000, () => throttle.failed('ada', away))
  expect(throttle.refuses('ada', away)).toBeUndefined()
})

test('memory is bounded, whoever tries what from where', () => {
  times(200_000, (index) =>
    throttle.failed(`user_${index}`, `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`),
  )
  times(200_000, (index) => throttle.succeeded(`user_${index}`, home))
  expect(throttle.size).toBeLessThanOrEqual(250_000)
  fromMany(20)
  expect(throttle.refuses('ada', away)).toBe('throttled-name')
})
