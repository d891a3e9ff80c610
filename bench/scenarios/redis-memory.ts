import type { Scenario, StoredBytes } from '../scenario.ts'
import { measureCredentials } from '../services/stored-credentials.ts'
import { measureRecords } from '../services/stored-records.ts'
import { measureSessions } from '../services/stored-sessions.ts'

export const redisMemory: Scenario = {
  name: 'redis-memory',
  summary:
    'bytes in Redis of each organization, user, credential, session and message; ours is a queued message',
  unit: 'bytes',
  against: '-',
  goal: { figure: 'ours', atMost: 600 },
  async run(bench) {
    // From here on what one of them takes does not depend on how many there are.
    const count = (most: number): number => Math.min(most, bench.options.users)
    const bytes: StoredBytes = {
      ...(await measureRecords(bench, { organizations: count(300), users: count(2000) })),
      ...(await measureCredentials(bench, count(1000))),
      ...(await measureSessions(bench, count(500))),
    }
    const ours = bytes['queued message of 256 bytes']
    return {
      ...(ours === undefined ? {} : { ours }),
      bytes,
      note: Object.entries(bytes)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
    }
  },
}
