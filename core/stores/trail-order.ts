import { type AuditNature, auditNatures } from '#core/audit/audit-event.ts'
import type { KeptEvent, TrailPage, TrailPosition } from './audit-trail.ts'

/** One of the streams of a trail, and an entry in it: `<ms>-<number>`. */
export interface StreamPlace {
  readonly ms: number
  readonly number: number
  readonly nature: AuditNature
}

/** `event` is undefined where what is kept can not be read. */
export interface PlacedEvent extends StreamPlace {
  readonly event: KeptEvent | undefined
}

export function placeOf(position: TrailPosition): StreamPlace {
  const [, ms, number, index] = /^(\d+)-(\d+)\.(\d)$/.exec(position) ?? []
  const nature = auditNatures[Number(index)]
  if (nature === undefined) throw new TypeError('this is no position of a trail')
  return { ms: Number(ms), number: Number(number), nature }
}

const positionOf = ({ ms, number, nature }: StreamPlace): TrailPosition =>
  `${ms}-${number}.${auditNatures.indexOf(nature)}`

/** Negative where `one` comes before `other`: the latest first, and the same order however it is asked for. */
export function latestFirst(one: StreamPlace, other: StreamPlace): number {
  return (
    other.ms - one.ms ||
    other.number - one.number ||
    auditNatures.indexOf(other.nature) - auditNatures.indexOf(one.nature)
  )
}

/** Of what was found in each stream, one more than the limit at most, the first so many of all. */
export function pageOf(found: readonly PlacedEvent[], limit: number): TrailPage {
  const ordered = found.toSorted(latestFirst)
  const page = ordered.slice(0, limit)
  const last = page.at(-1)
  return {
    events: page.flatMap(({ event, ...place }) =>
      event === undefined ? [] : [{ position: positionOf(place), event }],
    ),
    ...(ordered.length > limit && last !== undefined ? { next: positionOf(last) } : {}),
  }
}
