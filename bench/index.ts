import type { Scenario } from './scenario.ts'
import { acl } from './scenarios/acl.ts'
import { connect } from './scenarios/connect.ts'
import { crossPersistent } from './scenarios/cross-persistent.ts'
import { crossQos0 } from './scenarios/cross-qos0.ts'
import { crossQos1 } from './scenarios/cross-qos1.ts'
import { exchange } from './scenarios/exchange.ts'
import { failover } from './scenarios/failover.ts'
import { fanout } from './scenarios/fanout.ts'
import { memory } from './scenarios/memory.ts'
import { memoryTls } from './scenarios/memory-tls.ts'
import { overload } from './scenarios/overload.ts'
import { qos0 } from './scenarios/qos0.ts'
import { qos1 } from './scenarios/qos1.ts'
import { reconcileCold } from './scenarios/reconcile-cold.ts'
import { reconcileCreate } from './scenarios/reconcile-create.ts'
import { reconcileFlush } from './scenarios/reconcile-flush.ts'
import { reconcileMemory } from './scenarios/reconcile-memory.ts'
import { redisMemory } from './scenarios/redis-memory.ts'
import { retained } from './scenarios/retained.ts'
import { revoke } from './scenarios/revoke.ts'
import { shared } from './scenarios/shared.ts'
import { sparse } from './scenarios/sparse.ts'
import { tls } from './scenarios/tls.ts'

/** Every scenario, in the order of the table. A new one is a file in scenarios/ and a line here. */
export const scenarios: readonly Scenario[] = [
  qos0,
  qos1,
  fanout,
  crossQos0,
  crossQos1,
  crossPersistent,
  shared,
  tls,
  sparse,
  retained,
  memory,
  memoryTls,
  connect,
  acl,
  exchange,
  overload,
  revoke,
  reconcileCold,
  reconcileFlush,
  reconcileCreate,
  reconcileMemory,
  failover,
  redisMemory,
]
