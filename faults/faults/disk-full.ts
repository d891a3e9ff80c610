import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { listeningOn, startRedisProcess } from '../../test/fixtures/redis-server.ts'
import type { Fault } from '../fault.ts'
import { startStage } from '../stage.ts'

const run = promisify(execFile)
const fullMs = 3_000
const megabyte = 1_048_576
const size = 16
/** Of the Redis that is running, which lies on a disk of its own. */
let disk = ''

export const diskFull: Fault = {
  name: 'disk-full',
  summary: 'the disk that Redis writes its AOF to is full for three seconds (as root: it mounts a small one)',
  mostGapMs: () => fullMs + 5_000,
  stage: () =>
    startStage(async () => {
      const redis = await startRedisProcess(async (port, directory) => {
        await run('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'tmpfs', directory])
        disk = directory
        return [
          ...listeningOn(port),
          '--save',
          '',
          '--appendonly',
          'yes',
          '--auto-aof-rewrite-percentage',
          '0',
        ]
      })
      const stop = async (): Promise<void> => {
        await redis.kill()
        await run('umount', [disk])
        await redis.stop()
      }
      return { redis, url: redis.url, stop }
    }),
  async run(_stage, traffic) {
    const filling = join(disk, 'filling')
    // Until there is no room: the last write fails.
    await writeFile(filling, Buffer.alloc(size * megabyte)).catch(() => {})
    await pause(fullMs)
    await rm(filling)
    await traffic.flows()
  },
}
