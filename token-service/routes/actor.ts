import { type TSchema, Type } from 'typebox'
import { agentId } from './request-fields.ts'

/** RFC 8693 §4.1: who acts, and within it who handed the task on. */
export interface Actor {
  readonly sub: string
  readonly act?: Actor
}

const mostActors = 4

/** All who act, the one who has the credential first; the last may impersonate the person. */
export const Actors = Type.Unsafe<Actor>(
  actorSchema(mostActors + 1, Type.String(), 'Who acts: an agent, or who acts as the person.'),
)
/** Those before an agent. */
export const EarlierActors = Type.Unsafe<Actor>(actorSchema(mostActors - 1, agentId, 'An agent that acts.'))

function actorSchema(depth: number, sub: TSchema, description: string): TSchema {
  const act = depth > 1 ? { act: Type.Optional(actorSchema(depth - 1, sub, description)) } : {}
  return Type.Object({ sub, ...act }, { additionalProperties: false, description })
}

/** The agents of a chain, the latest first. */
export function actorsOf({ sub, act }: Actor): string[] {
  return act === undefined ? [sub] : [sub, ...actorsOf(act)]
}

/** The chain of agents, of which there is at least one. */
export function actorOf([sub = '', ...others]: readonly string[]): Actor {
  return others.length === 0 ? { sub } : { sub, act: actorOf(others) }
}
