import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TSchema } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { keyProblems } from '../../openapi/route-docs.ts'
import { organizationOf } from '../../organization-of.ts'
import { ProblemError } from '../../problems.ts'
import type { Settled, UserCaller, Users } from '../../users/users.ts'
import type { Endpoints } from '../credential-answer.ts'

export interface UsersRouteOptions {
  readonly identities: IdentityReader
  /** Absent where the Users API is not enabled. */
  readonly users: Users | undefined
  readonly audit: Audit
  readonly endpoints: Endpoints
}

export const usersDocs = { tag: 'Users', caller: 'apiKey' } as const

/** Of every route of users. */
export const usersProblems = [...keyProblems, 'users_not_enabled', 'users_unavailable'] as const

/** Of those that are about one user. */
export const userProblems = [...usersProblems, 'user_not_found'] as const

/** Of those that change one. */
export const changeProblems = [...userProblems, 'user_changed'] as const

export async function usersOf(
  { identities, users }: UsersRouteOptions,
  { caller }: FastifyRequest,
): Promise<{ readonly users: Users; readonly caller: UserCaller }> {
  if (caller === null) throw new ProblemError('invalid_api_key')
  const of = await organizationOf(identities, caller)
  if (users === undefined) throw new ProblemError('users_not_enabled')
  return { users, caller: { ...caller, of } }
}

/** By when the answer comes: once the change is in force, or before. */
export const changeAnswers = <Answer extends TSchema>(answer: Answer) => ({
  200: { ...answer, description: 'It is in force.' },
  202: { ...answer, description: 'It is written, and in force soon.' },
})

/** As a revocation tells it. */
export function tellUnconfirmed(reply: FastifyReply, { unconfirmed }: Settled): void {
  if (unconfirmed.length > 0) reply.header('cloudsignal-unconfirmed-replicas', unconfirmed.join(', '))
}

export const inForceText =
  'It waits until the change is in force and every replica of the broker has acted on it; those that have not within a ' +
  'second are named in CloudSignal-Unconfirmed-Replicas. 202 says that it is written and not in force yet.'
