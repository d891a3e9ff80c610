import { Type, type Static } from 'typebox'

const effects = ['allow', 'deny'] as const
export const actions = ['publish', 'subscribe'] as const
export type Action = (typeof actions)[number]
export type Qos = 0 | 1 | 2

/**
 * One rule of an access list. Deny wins, otherwise an allow must match, otherwise denied.
 * `maxQos` and `retain` narrow an allow; a deny has neither, and denies at every QoS.
 */
export const AccessRuleSchema = Type.Object(
  {
    effect: Type.Enum(effects, { description: 'Whether matching topics are allowed or denied. Deny wins.' }),
    actions: Type.Array(Type.Enum(actions), {
      minItems: 1,
      maxItems: 2,
      uniqueItems: true,
      description: 'What the rule is about. Subscribing includes receiving and reading retained messages.',
    }),
    topics: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
      minItems: 1,
      maxItems: 64,
      description: 'Topic filters; may hold variables such as devices/{username}/#.',
    }),
    maxQos: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2,
        description: 'Highest QoS that this rule allows; 2 by default.',
      }),
    ),
    retain: Type.Optional(
      Type.Boolean({
        description: 'Whether this rule allows retained messages to be published; true by default.',
      }),
    ),
  },
  { additionalProperties: false },
)
export type AccessRule = Static<typeof AccessRuleSchema>
