import { type TSchema, Type } from 'typebox'
import { agentId } from './request-fields.ts'

/** RFC 8693 §4.1: who acts, and within it who handed the task on. */
export interface Actor {
  readonly sub: string
  readonly act?: Actor
}

const mostActors = 4

/** All who act, the one who has the credential first. */
export const Actors = Type.Unsafe<Actor>(actorSchema(mostActors))
/** Those before it. */
export const EarlierActors = Type.Unsafe<Actor>(actorSchema(mostActors - 1))

function actorSchema(depth: number): TSchema {
  const act = depth > 1 ? { act: Type.Optional(actorSchema(depth - 1)) } : {}
  return Type.Object(
    { sub: agentId, ...act },
    { additionalProperties: false, description: 'An agent that acts.' },
  )
}

/** The agents of a chain, the latest first. */
export function actorsOf({ sub, act }: Actor): string[] {
  return act === undefined ? [sub] : [sub, ...actorsOf(act)]
}

/** The chain of agents, of which there is at least one. */
export function actorOf([sub = '', ...others]: readonly string[]): Actor {
  return others.length === 0 ? { sub } : { sub, act: actorOf(others) }
}
