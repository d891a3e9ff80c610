import { describe, expect, test } from 'vitest'
import { Remedy } from '#core/process/settings.ts'
import { describeLocation, parseRedisUrl, redisLocation } from '#core/redis/redis-location.ts'

const address = (host: string, port: number) => ({ host, port })

describe('the URL of Redis', () => {
  test.each([
    ['redis://r', { mode: 'single', isTls: false, address: address('r', 6379), database: 0 }],
    ['redis://r:1/', { mode: 'single', isTls: false, address: address('r', 1), database: 0 }],
    ['REDISS://r:1/7', { mode: 'single', isTls: true, address: address('r', 1), database: 7 }],
    ['redis://[::1]:1', { mode: 'single', isTls: false, address: address('::1', 1), database: 0 }],
    [
      'redis://:p%40ss@r',
      { mode: 'single', isTls: false, password: 'p@ss', address: address('r', 6379), database: 0 },
    ],
    [
      'redis://u%3A:p:q@r',
      {
        mode: 'single',
        isTls: false,
        username: 'u:',
        password: 'p:q',
        address: address('r', 6379),
        database: 0,
      },
    ],
    [
      'redis+sentinel://s1/mymaster',
      { mode: 'sentinel', isTls: false, sentinels: [address('s1', 26379)], master: 'mymaster', database: 0 },
    ],
    [
      'rediss+sentinel://u:p@s1:1,[::1]:2,s3/my%2Fmaster/3?sentinel_username=su&sentinel_password=s%26p',
      {
        mode: 'sentinel',
        isTls: true,
        username: 'u',
        password: 'p',
        sentinels: [address('s1', 1), address('::1', 2), address('s3', 26379)],
        master: 'my/master',
        database: 3,
        sentinelUsername: 'su',
        sentinelPassword: 's&p',
      },
    ],
    [
      'redis+cluster://:p@n1,n2:7000',
      { mode: 'cluster', isTls: false, password: 'p', nodes: [address('n1', 6379), address('n2', 7000)] },
    ],
    ['rediss+cluster://n1/0', { mode: 'cluster', isTls: true, nodes: [address('n1', 6379)] }],
  ])('%s says where it is', (url, location) => {
    expect(parseRedisUrl(url)).toEqual(location)
  })

  test.each([
    ['http://hunter2', /^give a URL that begins with redis:\/\//],
    ['redis-sentinel://hunter2/m', /^give a URL that begins with .*redis\+sentinel:\/\//],
    ['hunter2', /^give a URL that begins with/],
    ['redis://:hun@ter2@r', /%40/],
    ['redis://:hunter2#@r', /%23/],
    ['redis://:hunter2%@r', /%25/],
    ['redis://hunter2@r', /put a colon before the password/],
    ['redis://hunter2:@r', /put a colon before the password/],
    ['redis://:p@hunter2:x', /write host 1 as host or host:port/],
    ['redis://r:65536', /write host 1/],
    ['redis://', /write host 1/],
    ['redis://r/hunter2', /give the database as a number/],
    ['redis://r/0/1', /give the database as a number, at the end/],
    ['redis://r1,r2', /several are written redis\+sentinel:\/\/\.\.\. or redis\+cluster:\/\//],
    ['redis://r?password=hunter2', /leave out what follows the question mark/],
    ['redis+sentinel://s1,s2', /name the master after the sentinels/],
    ['redis+sentinel://s1/m/0/x', /give the database as a number, at the end/],
    ['redis+sentinel://s1//0', /name the master after the sentinels/],
    ['redis+sentinel://s1,/m', /write host 2/],
    ['redis+sentinel://s1/m/x', /give the database as a number/],
    [
      'redis+sentinel://s1/m?sentinelPassword=hunter2',
      /give only sentinel_username=... and sentinel_password=/,
    ],
    ['redis+sentinel://s1/m?sentinel_password=hun=ter2', /%3D/],
    ['redis+sentinel://s1/m?sentinel_username=u', /give sentinel_password with sentinel_username/],
    ['redis+cluster://n1/1', /only number 0/],
  ])('%s is refused with what to do, and without what stands there', (url, remedy) => {
    const refused = parseRedisUrl(url)
    expect(refused).toBeInstanceOf(Remedy)
    expect((refused as Remedy).text).toMatch(remedy)
    expect((refused as Remedy).text).not.toContain('hunter2')
  })

  test('is shown to people by its hosts alone', () => {
    const shown = [
      'redis://:p@r',
      'redis+sentinel://:p@a,b:1/m?sentinel_password=q',
      'redis+cluster://:p@c,d',
    ].map((url) => describeLocation(redisLocation(url)))
    expect(shown).toEqual(['r:6379', 'a:26379, b:1', 'c:6379, d:6379'])
  })
})
