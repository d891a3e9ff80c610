import type { Fault } from './fault.ts'
import { clockSkew } from './faults/clock-skew.ts'
import { diskFull } from './faults/disk-full.ts'
import { herd } from './faults/herd.ts'
import { noisyOrganization } from './faults/noisy-organization.ts'
import { redisHang } from './faults/redis-hang.ts'
import { redisKill } from './faults/redis-kill.ts'
import { replicaKill } from './faults/replica-kill.ts'
import { rollingRestart } from './faults/rolling-restart.ts'
import { sentinel } from './faults/sentinel.ts'
import { slowRedis } from './faults/slow-redis.ts'

/** In the order in which they are run when none is named. */
export const faults: readonly Fault[] = [
  replicaKill,
  redisKill,
  redisHang,
  sentinel,
  diskFull,
  slowRedis,
  rollingRestart,
  herd,
  noisyOrganization,
  clockSkew,
]
