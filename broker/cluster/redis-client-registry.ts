import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { Gathering } from '#core/stores/gathering.ts'
import { fromRedis, type RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { ConnectionAbout } from '#core/stores/session-directory.ts'
import type { Basis } from '../admission/admission.ts'
import {
  type Arrival,
  type Arrived,
  type Claim,
  claimMs,
  type ClientRegistry,
  type ConnectionBounds,
  type DueWill,
  type NotArrived,
  type WillFate,
} from './client-registry.ts'
import * as scripts from './registry-scripts.ts'
import { decodeWill, encodeWill, type StoredWill } from './stored-will.ts'

const putOffMs = 60_000
const organizationsAtOnce = 20
const willsAtOnce = 50
const entriesAtOnce = 200
/** A will may be as large as a CONNECT. */
const mostAtOnce = 50
/** Whoever comes while one is answered does not wait for that. */
const questionsAtOnce = 4

/** Keys of an organization, as the scripts want them. */
const scriptKeys = [
  'clients:owners',
  'clients:wills',
  'clients:due',
  'sessions',
  'clients:counts',
  'clients:about',
  'clients:ids',
] as const

interface Coming {
  readonly arrival: Arrival
  readonly basis: Basis
  readonly bounds: ConnectionBounds
}

interface Going {
  readonly claim: Claim
  readonly fate: WillFate
}

type HandedOut = readonly [] | readonly [field: string, attempts: string, will: string]

/** As the script answers. */
type Came = readonly [epoch: string, hasSession: 0 | 1, isElsewhere: 0 | 1, former: HandedOut] | NotArrived
type Gone = 0 | readonly [dueAt: string, due: HandedOut]

export class RedisClientRegistry implements ClientRegistry {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys
  readonly #replica: string
  /** What the store did not take. */
  #unfinished: Going[] = []
  readonly #crossings = new Map<OrganizationId, Gathering<Coming | Going, Came | Gone>>()
  #unscheduled: { readonly organization: OrganizationId; readonly at: number }[] = []

  constructor(redis: RedisConnection, keys: RedisKeys, replica: string) {
    this.#redis = redis
    this.#keys = keys
    this.#replica = replica
  }

  /** Something that ended here has not been told to the store yet. */
  get hasUnfinished(): boolean {
    return this.#unfinished.length > 0
  }

  async arrive(arrival: Arrival, basis: Basis, bounds: ConnectionBounds = {}): Promise<Arrived | NotArrived> {
    const { organization } = arrival
    const came = (await this.#cross(organization, { arrival, basis, bounds })) as Came
    if (typeof came === 'string') return came
    const epoch = Number(came[0])
    const former = dueWill(organization, came[3])
    return {
      claim: { arrival, epoch, since: Math.floor(epoch / 1_000) },
      mayHaveSession: came[1] === 1,
      isElsewhere: came[2] === 1,
      ...(former === undefined ? {} : { former }),
    }
  }

  async confirm({ arrival, epoch }: Claim): Promise<boolean> {
    const { organization, id, will, about } = arrival
    const values = [id, epoch, this.#replica, ...storedForm(will), aboutForm(about)]
    return (await this.#run(scripts.confirm, organization, values)) === 1
  }

  async tell({ arrival, epoch }: Claim, about: ConnectionAbout): Promise<void> {
    await this.#run(scripts.tell, arrival.organization, [arrival.id, epoch, aboutForm(about)])
  }

  async leave(claim: Claim, fate: WillFate): Promise<DueWill | undefined> {
    const { organization } = claim.arrival
    try {
      const gone = (await this.#cross(organization, { claim, fate })) as Gone
      return gone === 0 ? undefined : dueWill(organization, gone[1])
    } catch {
      this.#unfinished.push({ claim, fate })
      return undefined
    }
  }

  async takeDue(): Promise<readonly DueWill[]> {
    const wills = await this.#finish()
    const [until = '', ...organizations] = (await fromRedis(() =>
      scripts.takeScheduled(this.#redis, [this.#keys.willSchedule], [putOffMs, organizationsAtOnce]),
    )) as string[]
    for (const name of organizations) {
      const organization = parseOrganizationId(name)
      if (organization !== undefined) wills.push(...(await this.#takeDueOf(organization, until)))
    }
    return wills
  }

  async settle({ organization, id, epoch }: DueWill): Promise<void> {
    await this.#run(scripts.settle, organization, [id, epoch])
  }

  postpone({ organization }: DueWill): void {
    this.#unscheduled.push({ organization, at: 0 })
  }

  /** A replica is gone: makes its wills due and forgets its claims. Again does no harm. */
  async bury(replica: string, organization: OrganizationId): Promise<void> {
    await this.#scan(this.#key(organization, 'wills'), async (entries) => {
      const fields = [...entries]
        .filter(([, will]) => replicaOfWill(will) === replica)
        .map(([field]) => field)
      if (fields.length === 0) return
      const at = await this.#run(scripts.orphan, organization, [replica, ...fields])
      if (at !== '') await this.#schedule(organization, Number(at))
    })
    await this.#scan(this.#key(organization, 'owners'), async (entries) => {
      const ids = [...entries].filter(([, owner]) => owner.endsWith(` ${replica}`)).map(([id]) => id)
      if (ids.length > 0) await this.#run(scripts.disown, organization, [replica, ...ids])
    })
  }

  #cross(organization: OrganizationId, crossing: Coming | Going): Promise<Came | Gone> {
    let gathering = this.#crossings.get(organization)
    if (gathering === undefined) {
      gathering = new Gathering({
        most: mostAtOnce,
        atOnce: questionsAtOnce,
        ask: (crossings) => this.#crossAll(organization, crossings),
        idle: () => void this.#crossings.delete(organization),
      })
      this.#crossings.set(organization, gathering)
    }
    return gathering.ask(crossing)
  }

  /** Answers in the order of the question. */
  async #crossAll(
    organization: OrganizationId,
    crossings: readonly (Coming | Going)[],
  ): Promise<(Came | Gone)[]> {
    const going: unknown[] = []
    const coming: unknown[] = []
    for (const one of crossings) {
      if ('claim' in one) going.push(departureForm(one))
      else coming.push(arrivalForm(one, this.#keys))
    }
    const places = scripts.sharedRecords.map((type) => this.#keys.identity(type, organization))
    places.push(this.#keys.barriers(organization))
    const given = [this.#replica, claimMs, ...places, JSON.stringify([going, coming])]
    const [gone, came] = (await this.#run(scripts.comeAndGo, organization, given)) as [Gone[], Came[]]
    const times = gone.flatMap((one) => (one === 0 || one[0] === '' ? [] : [Number(one[0])]))
    if (times.length > 0) await this.#scheduleOrLater(organization, Math.min(...times))
    let [nextGone, nextCame] = [0, 0]
    return crossings.map((one) => ('claim' in one ? gone[nextGone++] : came[nextCame++]) as Came | Gone)
  }

  /** Tells the store what it did not take before. */
  async #finish(): Promise<DueWill[]> {
    const wills: DueWill[] = []
    const unfinished = this.#unfinished
    this.#unfinished = []
    for (const { claim, fate } of unfinished) {
      const will = await this.leave(claim, fate)
      if (will !== undefined) wills.push(will)
    }
    const unscheduled = this.#unscheduled
    this.#unscheduled = []
    for (const entry of unscheduled) {
      await this.#scheduleOrLater(entry.organization, entry.at)
    }
    return wills
  }

  async #takeDueOf(organization: OrganizationId, until: string): Promise<DueWill[]> {
    const values = [this.#replica, claimMs, willsAtOnce]
    const [next, count, ...handedOut] = (await this.#run(scripts.takeDue, organization, values)) as [
      string,
      number,
      ...HandedOut[],
    ]
    if (next !== '') await this.#schedule(organization, Number(next))
    else if (count === 0) {
      await fromRedis(() => scripts.unschedule(this.#redis, [this.#keys.willSchedule], [organization, until]))
    }
    return handedOut.map((one) => dueWill(organization, one)).filter((will) => will !== undefined)
  }

  /** Not later than then. */
  async #schedule(organization: OrganizationId, at: number): Promise<void> {
    await fromRedis(() => this.#redis.zadd(this.#keys.willSchedule, 'LT', at, organization))
  }

  async #scheduleOrLater(organization: OrganizationId, at: number): Promise<void> {
    await this.#schedule(organization, at).catch(() => this.#unscheduled.push({ organization, at }))
  }

  async #scan(key: string, each: (entries: ReadonlyMap<string, string>) => Promise<void>): Promise<void> {
    let cursor = '0'
    do {
      const [next, flat] = await fromRedis(() => this.#redis.hscan(key, cursor, 'COUNT', entriesAtOnce))
      cursor = next
      const entries = new Map<string, string>()
      for (let index = 0; index + 1 < flat.length; index += 2)
        entries.set(flat[index] ?? '', flat[index + 1] ?? '')
      await each(entries)
    } while (cursor !== '0')
  }

  #run(
    script: typeof scripts.comeAndGo,
    organization: OrganizationId,
    values: readonly (string | number)[],
  ): Promise<unknown> {
    const prefix = this.#keys.messaging(organization)
    const keys = scriptKeys.map((name) => prefix + name)
    return fromRedis(() => script(this.#redis, keys, values))
  }

  #key(organization: OrganizationId, name: 'owners' | 'wills'): string {
    return `${this.#keys.messaging(organization)}clients:${name}`
  }
}

function arrivalForm({ arrival, basis, bounds }: Coming, keys: RedisKeys): unknown[] {
  const { id, organization, isCleanStart, will, about } = arrival
  const records = basis.map(({ type, name, version }) => [
    type,
    type === 'credential' ? keys.credential(organization, name) : name,
    version,
  ])
  const { organization: most = '', principal: mostOfPrincipal = '' } = bounds
  return [id, isCleanStart, ...storedForm(will), most, mostOfPrincipal, aboutForm(about), records]
}

function departureForm({ claim, fate }: Going): unknown[] {
  const longest = fate.publish ? Math.floor(fate.atMostSeconds * 1_000) : ''
  const shortest = 'atLeastSeconds' in fate ? Math.floor(fate.atLeastSeconds * 1_000) : ''
  return [claim.arrival.id, String(claim.epoch), longest, shortest]
}

const aboutForm = (about: Arrival['about']): string => JSON.stringify(about ?? {})

function storedForm(will: StoredWill | undefined): [delayMs: number, will: string] {
  return will === undefined ? [0, ''] : [Math.floor(will.delaySeconds * 1_000), encodeWill(will)]
}

function replicaOfWill(text: string): string | undefined {
  return text.split(' ', 3)[2]
}

function dueWill(organization: OrganizationId, handedOut: HandedOut): DueWill | undefined {
  const [field, attempts, text] = handedOut
  if (field === undefined || text === undefined) return undefined
  const space = field.indexOf(' ')
  return {
    organization,
    id: field.slice(space + 1),
    epoch: Number(field.slice(0, space)),
    attempts: Number(attempts),
    will: readable(text),
  }
}

function readable(text: string): StoredWill | undefined {
  try {
    return decodeWill(text)
  } catch {
    return undefined
  }
}
