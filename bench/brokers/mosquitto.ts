import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestCertificate } from '../../test/fixtures/certificates.ts'
import { freePort } from '../../test/fixtures/redis-server.ts'
import type { Workbench } from '../workbench.ts'
import { password, users } from './bench-users.ts'
import type { Target } from './target.ts'

export interface MosquittoOptions {
  /** With a password file and an access list; otherwise everybody may do everything. */
  readonly login?: boolean
  readonly certificate?: TestCertificate
  /** For what waits for one answer at a time: with Nagle's algorithm it would wait 40 ms for each. */
  readonly noDelay?: boolean
}

/**
 * Mosquitto with its defaults, in memory and without a log of its clients. Nothing was found that makes it faster:
 * larger windows and queues change nothing, `set_tcp_nodelay` costs it a part of QoS 1.
 */
export async function startMosquitto(bench: Workbench, options: MosquittoOptions = {}): Promise<Target> {
  const port = await freePort()
  const path = (name: string): string => join(bench.directory, `mosquitto-${port}.${name}`)
  const lines = [
    `listener ${port} 127.0.0.1`,
    'user root',
    'persistence false',
    'log_dest stderr',
    'log_type error',
    'log_type information',
    'connection_messages false',
  ]
  if (options.noDelay === true) lines.push('set_tcp_nodelay true')
  if (options.login === true) {
    await writePasswords(path('passwords'))
    writeFileSync(path('acl'), 'pattern readwrite devices/%u/#\npattern readwrite bench/#\n', { mode: 0o600 })
    lines.push('allow_anonymous false', `password_file ${path('passwords')}`, `acl_file ${path('acl')}`)
  } else lines.push('allow_anonymous true')
  const { certificate } = options
  if (certificate !== undefined) {
    lines.push(`certfile ${certificate.certFile}`, `keyfile ${certificate.keyFile}`)
  }
  writeFileSync(path('conf'), `${lines.join('\n')}\n`)
  const tool = bench.start(bench.cores.first, 'mosquitto', ['-c', path('conf')])
  await tool.wrote(/mosquitto version \S+ running/)
  return {
    publish: port,
    subscribe: port,
    ...(options.login === true ? { login: { user: 'bench_%d', password, users } } : {}),
    tls: certificate !== undefined,
    processes: { broker: tool.pid },
    generator: bench.cores.besideOne,
    stop: () => tool.stop(),
  }
}

/** Its own tool hashes them as mosquitto_passwd does by default. */
async function writePasswords(path: string): Promise<void> {
  const lines = Array.from({ length: users }, (_, index) => `bench_${index}:${password}\n`)
  writeFileSync(path, lines.join(''), { mode: 0o600 })
  await promisify(execFile)('mosquitto_passwd', ['-U', path])
}
