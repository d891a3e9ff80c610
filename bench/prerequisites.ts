import { provide, type Requirement } from '../test/fixtures/debian-packages.ts'

const requirements: readonly Requirement[] = [
  { program: 'redis-server', package: 'redis-server', why: 'our broker runs on it', leastMajor: 7 },
  { program: 'mosquitto', package: 'mosquitto', why: 'what is compared with' },
  { program: 'mosquitto_passwd', package: 'mosquitto', why: "it hashes the peer's passwords" },
  { program: 'taskset', package: 'util-linux', why: 'each broker gets a core of its own' },
  { program: 'cc', package: 'gcc', why: 'it compiles the load generator' },
  { program: '/usr/include/stdio.h', package: 'libc6-dev', why: 'the load generator includes it' },
  { program: '/usr/include/openssl/ssl.h', package: 'libssl-dev', why: 'the load generator speaks TLS' },
]

/** Makes ready what the benchmarks need beside node_modules. Resolves with what is missing still. */
export async function prepareBench(say: (line: string) => void): Promise<readonly string[]> {
  if (process.platform !== 'linux') return ['benchmarks read /proc and use epoll: run them on Linux']
  return (await provide(requirements, say)).map(([, problem]) => problem)
}
