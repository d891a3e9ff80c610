import { setTimeout as pause } from 'node:timers/promises'
import { parseOrganizationId } from '#core/organizations/organization-id.ts'
import {
  type Applied,
  type ControlEntry,
  controlEntryTypes,
  type ControlLog,
  type ControlLogHandler,
  type ControlLogSubscription,
  longestStalenessMs,
} from './control-log.ts'
import { ControlReport, type Outcome } from './control-report.ts'
import { duplicateConnection, fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

const longestLog = 100_000
const blockMs = 1_000
const pauseMs = 250
const entriesPerRead = 500
const longestWaitMs = 16

export class RedisControlLog implements ControlLog {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys
  readonly #key: string

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
    this.#key = keys.control
  }

  async append({ type, organization, name }: ControlEntry): Promise<string> {
    const position = await fromRedis(() =>
      this.#redis.xadd(
        this.#key,
        'MAXLEN',
        '~',
        longestLog,
        '*',
        'type',
        type,
        'organization',
        organization,
        'name',
        name,
      ),
    )
    return String(position)
  }

  async applied(positions: readonly string[], timeoutMs: number): Promise<Applied> {
    const last = positions.at(-1) ?? '0-0'
    const end = performance.now() + timeoutMs
    for (let wait = 1; ; wait = Math.min(wait * 2, longestWaitMs)) {
      const missing = await fromRedis(() => this.#missing(last))
      if (missing.length === 0 || performance.now() > end) {
        const counts = await fromRedis(() =>
          Promise.all(positions.map((position) => this.#redis.hvals(this.#keys.controlEnded(position)))),
        )
        return { ended: counts.flat().reduce((sum, count) => sum + Number(count), 0), missing }
      }
      await pause(wait)
    }
  }

  /** Replicas that have not said that they are so far: of those that hold a lease, or lost it not long ago. */
  async #missing(position: string): Promise<string[]> {
    const [seconds] = await this.#redis.time()
    const now = Number(seconds) * 1_000
    const [live, gone] = await Promise.all([
      this.#redis.zrangebyscore(this.#keys.replicas, `(${now - longestStalenessMs}`, '+inf'),
      this.#redis.zrangebyscore(this.#keys.goneReplicas, `(${now - longestStalenessMs}`, '+inf'),
    ])
    const names = [...new Set([...live, ...gone])]
    if (names.length === 0) return []
    const positions = await this.#redis.hmget(this.#keys.controlApplied, ...names)
    return names.filter((_, index) => isBefore(positions[index] ?? '0-0', position))
  }

  async follow(handler: ControlLogHandler, replica?: string): Promise<ControlLogSubscription> {
    const state = await fromRedis(() => stateOf(this.#redis, this.#key))
    const report = replica === undefined ? undefined : new ControlReport(this.#redis, this.#keys, replica)
    const from = (await fromRedis(async () => report?.reached())) ?? state.last
    if (from === state.last) report?.done(from, [])
    // A connection of its own: XREAD blocks it.
    const follower = new Follower(
      duplicateConnection(this.#redis),
      this.#key,
      { ...state, from },
      handler,
      report,
    )
    return follower.start()
  }
}

/**
 * Reads on from the last id it saw; after a cut it first looks whether what follows that id is still there. Another
 * Redis that has become the master may lack the last entries, and have others in their place.
 */
class Follower {
  readonly #redis: RedisConnection
  readonly #key: string
  readonly #handler: ControlLogHandler
  readonly #report: ControlReport | undefined
  #from: string
  #history: string
  #readAt = performance.now()
  #mustCheck = false
  #closed = false

  constructor(
    redis: RedisConnection,
    key: string,
    state: LogState & { readonly from: string },
    handler: ControlLogHandler,
    report: ControlReport | undefined,
  ) {
    this.#report = report
    this.#redis = redis
    this.#key = key
    this.#from = state.from
    this.#history = state.history
    // What nobody has done may not be there any more.
    this.#mustCheck = state.from !== state.last
    this.#handler = handler
    redis.on('error', () => {
      this.#mustCheck = true
    })
    redis.on('close', () => {
      this.#mustCheck = true
    })
  }

  start(): ControlLogSubscription {
    const ended = this.#run()
    return {
      staleness: () => performance.now() - this.#readAt,
      close: async () => {
        this.#closed = true
        this.#redis.disconnect()
        await ended
        await this.#report?.close()
      },
    }
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        if (this.#mustCheck) await this.#check()
        const isIdle = !(await this.#read())
        // The log may have been emptied under an open connection.
        if (isIdle) await this.#check()
        this.#readAt = performance.now()
      } catch {
        this.#mustCheck = true
        if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  async #read(): Promise<boolean> {
    const answer = await this.#redis.xread(
      'COUNT',
      entriesPerRead,
      'BLOCK',
      blockMs,
      'STREAMS',
      this.#key,
      this.#from,
    )
    const entries = answer?.[0]?.[1] ?? []
    const outcomes: Outcome[] = []
    for (const [id, fields] of entries) {
      const entry = entryOf(fields ?? [])
      // What can not be read may have been a revocation.
      const ended =
        entry === undefined ? this.#handler.gap() : this.#handler.entry(entry, Number.parseInt(id, 10))
      outcomes.push({ position: id, ended })
      this.#from = id
    }
    if (outcomes.length > 0) this.#report?.done(this.#from, outcomes)
    return entries.length > 0
  }

  #missed(): void {
    const ended = this.#handler.gap()
    this.#report?.done(this.#from, [{ position: this.#from, ended }])
  }

  async #check(): Promise<void> {
    const { first, last, history, continued } = await stateOf(this.#redis, this.#key)
    const isSuccessor = history !== this.#history && continued !== ''
    this.#history = history
    this.#mustCheck = false
    const isEmptied = isBefore(last, this.#from)
    const isCut = last !== this.#from && this.#from !== '0-0' && (first === '' || isBefore(this.#from, first))
    if (isEmptied) this.#from = '0-0'
    // Nothing is left that could be read: who looks at everything now is as far as the log.
    if (first === '' && (isEmptied || isCut)) this.#from = last
    if (isEmptied || isCut || isSuccessor) this.#missed()
  }
}

interface LogState {
  /** Id of the oldest entry, or nothing. */
  readonly first: string
  /** Id of the newest one ever; `0-0` for a log that is not there. */
  readonly last: string
  /** Of the data set: another one after a restart, and with another master. Nothing where INFO is not allowed. */
  readonly history: string
  /** The one that it goes on from: there when another Redis has become the master. */
  readonly continued: string
}

// A script, because XINFO and INFO name no key by which a Cluster client would find the node.
const readState = redisScript(`
local info = redis.pcall('INFO', 'replication')
local text = type(info) == 'string' and info or ''
local first, last = '', '0-0'
local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
if stream.err and not stream.err:find('no such key') then return stream end
for at = 1, #stream - 1, 2 do
  if stream[at] == 'last-generated-id' then last = stream[at + 1] end
  if stream[at] == 'first-entry' and stream[at + 1] then first = stream[at + 1][1] end
end
return {first, last, text:match('master_replid:(%x+)') or '', text:match('master_replid2:(%x*[1-9a-f]%x*)') or ''}`)

async function stateOf(redis: RedisConnection, key: string): Promise<LogState> {
  const [first, last, history, continued] = (await readState(redis, [key], [])) as [
    string,
    string,
    string,
    string,
  ]
  return { first, last, history, continued }
}

function isBefore(left: string, right: string): boolean {
  const [leftTime = 0, leftCount = 0] = left.split('-').map(Number)
  const [rightTime = 0, rightCount = 0] = right.split('-').map(Number)
  return leftTime === rightTime ? leftCount < rightCount : leftTime < rightTime
}

/** Undefined for what is no entry of ours. */
function entryOf(fields: readonly string[]): ControlEntry | undefined {
  const values = new Map<string, string>()
  for (let index = 0; index + 1 < fields.length; index += 2) {
    values.set(fields[index] ?? '', fields[index + 1] ?? '')
  }
  const organization = parseOrganizationId(values.get('organization') ?? '')
  const type = controlEntryTypes.find((each) => each === values.get('type'))
  const name = values.get('name')
  return organization === undefined || type === undefined || name === undefined
    ? undefined
    : { type, organization, name }
}
