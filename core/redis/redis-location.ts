import { DomainError } from '#core/errors.ts'
import { Remedy } from '#core/process/settings.ts'

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

interface Access {
  readonly isTls: boolean
  readonly username?: string
  readonly password?: string
}

/** One Redis: the one at the address, wherever that leads. */
export interface SingleLocation extends Access {
  readonly mode: 'single'
  readonly address: RedisAddress
  readonly database: number
}

/** The master that Sentinels name; a new one after a failover. */
export interface SentinelLocation extends Access {
  readonly mode: 'sentinel'
  readonly sentinels: readonly RedisAddress[]
  readonly master: string
  readonly database: number
  readonly sentinelUsername?: string
  readonly sentinelPassword?: string
}

/** A Redis Cluster; any of its nodes tells of the others. */
export interface ClusterLocation extends Access {
  readonly mode: 'cluster'
  readonly nodes: readonly RedisAddress[]
}

/** Where Redis is, as one URL says it. */
export type RedisLocation = SingleLocation | SentinelLocation | ClusterLocation

export const redisUrlForms = [
  'redis://:password@host:6379/0',
  'redis+sentinel://:password@host1:26379,host2:26379/mymaster/0?sentinel_password=...',
  'redis+cluster://:password@host1:6379,host2:6379',
] as const

const modes = {
  'redis:': 'single',
  'rediss:': 'single',
  'redis+sentinel:': 'sentinel',
  'rediss+sentinel:': 'sentinel',
  'redis+cluster:': 'cluster',
  'rediss+cluster:': 'cluster',
} as const

const shape = /^([a-z+-]+:)\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/i
const hostAndPort = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i

/** Reads the URL. A remedy never repeats any of it: what stands in the wrong place may be the password. */
export function parseRedisUrl(text: string): RedisLocation | Remedy {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof Wrong) return new Remedy(error.message)
    throw error
  }
}

/** The same for a URL that is known to be right, or `invalid-settings`. */
export function redisLocation(url: string): RedisLocation {
  const location = parseRedisUrl(url)
  if (!(location instanceof Remedy)) return location
  throw new DomainError('invalid-settings', `the URL of Redis can not be used: ${location.text}`)
}

/** Hosts and ports, for people. */
export function describeLocation(location: RedisLocation): string {
  return addressesIn(location)
    .map(({ host, port }) => `${host}:${port}`)
    .join(', ')
}

function addressesIn(location: RedisLocation): readonly RedisAddress[] {
  if (location.mode === 'single') return [location.address]
  return location.mode === 'sentinel' ? location.sentinels : location.nodes
}

class Wrong extends Error {}

interface Parts {
  readonly hosts: string
  /** What stands between the slashes after the hosts. */
  readonly path: readonly string[]
  readonly query: string
}

function parse(text: string): RedisLocation {
  const [, scheme = '', userInfo, hosts = '', path = '', query = ''] = shape.exec(text) ?? []
  const protocol = scheme.toLowerCase()
  const mode = modes[protocol as keyof typeof modes]
  if (mode === undefined) throw new Wrong(whyNoScheme(text))
  const access = { isTls: protocol.startsWith('rediss'), ...credentialsOf(userInfo) }
  const parts = { hosts, path: path.replace(/\/$/, '').split('/').slice(1), query }
  if (mode === 'sentinel') return { mode, ...access, ...sentinelsIn(parts) }
  if (query !== '') {
    throw new Wrong('leave out what follows the question mark: only redis+sentinel:// has options')
  }
  return mode === 'cluster'
    ? { mode, ...access, ...nodesIn(parts) }
    : { mode, ...access, ...addressIn(parts) }
}

function addressIn({ hosts, path }: Parts): Pick<SingleLocation, 'address' | 'database'> {
  const [address, another] = addressesOf(hosts, 6_379)
  if (address === undefined || another !== undefined) {
    throw new Wrong('give one host; several are written redis+sentinel://... or redis+cluster://...')
  }
  return { address, database: databaseOf(path) }
}

function sentinelsIn({ hosts, path, query }: Parts): Omit<SentinelLocation, 'mode' | keyof Access> {
  const [master = '', ...database] = path
  if (master === '') {
    throw new Wrong(
      'name the master after the sentinels, as in redis+sentinel://host1:26379,host2:26379/mymaster/0',
    )
  }
  return {
    sentinels: addressesOf(hosts, 26_379),
    master: decoded(master),
    database: databaseOf(database),
    ...sentinelCredentialsOf(query),
  }
}

function nodesIn({ hosts, path }: Parts): Pick<ClusterLocation, 'nodes'> {
  if (databaseOf(path) !== 0) throw new Wrong('leave the database out: a Redis Cluster has only number 0')
  return { nodes: addressesOf(hosts, 6_379) }
}

function whyNoScheme(text: string): string {
  const protocol = /^([a-z+-]+):/i.exec(text)?.[1]?.toLowerCase()
  if (protocol !== undefined && `${protocol}:` in modes) {
    return 'write /, ?, # and @ in user name and password as %2F, %3F, %23 and %40'
  }
  return `give a URL that begins with ${Object.keys(modes).join('//, ')}//`
}

function credentialsOf(userInfo: string | undefined): Pick<Access, 'username' | 'password'> {
  if (userInfo === undefined || userInfo === '') return {}
  const [username = '', ...rest] = userInfo.split(':')
  const password = rest.join(':')
  if (password === '') {
    throw new Wrong('put a colon before the password: redis://:password@host or redis://user:password@host')
  }
  return { ...(username === '' ? {} : { username: decoded(username) }), password: decoded(password) }
}

function sentinelCredentialsOf(
  query: string,
): Pick<SentinelLocation, 'sentinelUsername' | 'sentinelPassword'> {
  const options = new Map<string, string>()
  for (const pair of query.split('&').filter((part) => part !== '')) {
    const [name = '', value = '', ...more] = pair.split('=')
    if (
      !/^sentinel_(username|password)$/.test(name) ||
      value === '' ||
      more.length > 0 ||
      options.has(name)
    ) {
      throw new Wrong(
        'give only sentinel_username=... and sentinel_password=... after the question mark, with &, = and % as %26, %3D and %25',
      )
    }
    options.set(name, decoded(value))
  }
  const [username, password] = ['sentinel_username', 'sentinel_password'].map((name) => options.get(name))
  if (username !== undefined && password === undefined)
    throw new Wrong('give sentinel_password with sentinel_username')
  return {
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
  }
}

function addressesOf(hosts: string, defaultPort: number): RedisAddress[] {
  return hosts.split(',').map((text, index) => {
    const [, host, port = String(defaultPort)] = hostAndPort.exec(text) ?? []
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
      throw new Wrong(`write host ${index + 1} as host or host:port, with a comma before the next one`)
    }
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
  })
}

function databaseOf([text = '0', ...more]: readonly string[]): number {
  if (!/^\d{1,5}$/.test(text) || more.length > 0) throw new Wrong('give the database as a number, at the end')
  return Number(text)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Wrong('write % in user names, passwords and the name of the master as %25')
  }
}
