import { Type, type Static } from 'typebox'
import { type Verifier, VerifierSchema } from '#core/credentials/verifier.ts'
import { durationSeconds } from '#core/resources/fields.ts'
import type { MqttUserSpec } from '#core/resources/mqtt-user.ts'
import { recordCodec } from '#core/stores/record-codec.ts'

/**
 * What is known of the rotation of a generated password. It stands in the Secret beside the password, so that one write
 * changes both and nothing but resources has to be kept.
 */
const RotationStateSchema = Type.Object({
  /** When the present password was made, or first seen; in ms since the epoch. */
  since: Type.Integer(),
  previous: Type.Optional(Type.Object({ verifier: VerifierSchema, notAfter: Type.Integer() })),
})
export type RotationState = Static<typeof RotationStateSchema>
type Rotation = NonNullable<MqttUserSpec['rotation']>

const codec = recordCodec('rotation', RotationStateSchema)

/** Key of the Secret. */
const rotationKey = 'rotation'
const defaultOverlap = '10m'
/** Looks at who still uses the former password, in one overlap. */
const looksPerOverlap = 4
const shortestLookMs = 10_000
/** Of a timer; a later time is waited for in steps. */
const longestWaitMs = 86_400_000

/** Undefined where there is none, or none that can be read: it is begun anew. */
export function readRotation(data: Readonly<Record<string, string>>): RotationState | undefined {
  const text = data[rotationKey]
  if (text === undefined) return undefined
  try {
    return codec.decode(text)
  } catch {
    return undefined
  }
}

export function rotationData(state: RotationState): Readonly<Record<string, string>> {
  return { [rotationKey]: codec.encode(state) }
}

/** A new password is made now; `former` lets in until the overlap ends. */
export function beginRotation(rotation: Rotation, former: Verifier | undefined, now: number): RotationState {
  const notAfter = now + durationSeconds(rotation.overlap ?? defaultOverlap) * 1_000
  return { since: now, ...(former === undefined ? {} : { previous: { verifier: former, notAfter } }) }
}

/** What has to be written now: that rotation begins with the present password, or another password. */
export function rotationStep(
  rotation: Rotation | undefined,
  state: RotationState | undefined,
  now: number,
): 'begin' | 'rotate' | undefined {
  const { interval } = rotation ?? {}
  if (interval === undefined) return undefined
  if (state === undefined) return 'begin'
  return now >= state.since + durationSeconds(interval) * 1_000 ? 'rotate' : undefined
}

/** The former password while it lets in. */
function stillValid({ previous }: RotationState, now: number): RotationState['previous'] {
  return previous !== undefined && previous.notAfter > now ? previous : undefined
}

/** What of a rotation counts for now. */
export interface PasswordRotation {
  /** Ms since the epoch. */
  readonly since: number
  /** The former password, while it lets in. */
  readonly previous: RotationState['previous']
  readonly againAfterMs: number | undefined
}

/** `rotation`: how the present password is followed by another; undefined where it is not. */
export function rotationAt(
  rotation: Rotation | undefined,
  state: RotationState,
  now: number,
): PasswordRotation {
  return {
    since: state.since,
    previous: stillValid(state, now),
    againAfterMs: nextLook(rotation, state, now),
  }
}

/** Ms until there is something to do again: the next rotation, a look at the former password, its end. */
function nextLook(rotation: Rotation | undefined, state: RotationState, now: number): number | undefined {
  const times: number[] = []
  const { interval } = rotation ?? {}
  if (interval !== undefined) times.push(state.since + durationSeconds(interval) * 1_000)
  const previous = stillValid(state, now)
  if (previous !== undefined) {
    const lookMs = Math.max((previous.notAfter - state.since) / looksPerOverlap, shortestLookMs)
    times.push(Math.min(previous.notAfter, now + lookMs))
  }
  return times.length === 0 ? undefined : Math.min(Math.max(Math.min(...times) - now, 1), longestWaitMs)
}
