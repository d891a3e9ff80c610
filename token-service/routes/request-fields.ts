import { type Static, Type } from 'typebox'
import { type AccessRule, AccessRuleSchema } from '#core/access/access-rule.ts'
import { templateProblem } from '#core/access/identity-variables.ts'
import { isTopicFilter } from '#core/access/topic-filter.ts'
import { ProblemError } from '../problems.ts'

/** Fields of requests that several routes share. */

export const closed = { additionalProperties: false } as const

export const organizationId = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'The organization, such as org_k7xm4pqr2n5t.',
})

export const provider = Type.String({
  minLength: 1,
  maxLength: 253,
  description: 'Name of the IdentityProvider; may be left out where there is only one.',
})

export const token = Type.String({
  minLength: 1,
  description: 'The identity token that the provider issued.',
})

export const ttl = Type.Integer({ description: 'Life of the credential in seconds.' })

export const clientId = Type.String({
  minLength: 1,
  maxLength: 256,
  pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$',
  description: 'The only MQTT client id that the credential may connect with.',
})

export const mostConnections = 10_000

export const connections = Type.Integer({
  minimum: 1,
  maximum: mostConnections,
  description:
    'The credential connects only while the person, agent or worker has fewer connections than this, by whatever credential. It never widens the organization’s limits.',
})

/** Part of a principal, and of topics as `{agent_id}`. */
export const agentId = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
  description: 'The agent; rules use it as {agent_id}.',
})

const { actions, topics, maxQos, retain } = AccessRuleSchema.properties

export const permissions = Type.Array(Type.Object({ actions, topics, maxQos, retain }, closed), {
  maxItems: 32,
  description: 'Narrows what the credential may do to this. It never widens it.',
})

/** What is not permitted is denied; what is, is allowed where everything else allows it too. */
export function narrowingOf(permitted: Static<typeof permissions> | undefined): AccessRule[] | undefined {
  const errors = (permitted ?? []).flatMap((rule, index) =>
    rule.topics.flatMap((topic, at) => {
      const problem = templateProblem(topic, isTopicFilter)
      const field = `permissions[${index}].topics[${at}]`
      return problem === undefined
        ? []
        : [{ field, value: topic, remedy: `is no topic filter: it ${problem}` }]
    }),
  )
  if (errors.length > 0) throw new ProblemError('invalid_request', { errors })
  return permitted?.map((rule) => ({ effect: 'allow', ...rule }))
}
