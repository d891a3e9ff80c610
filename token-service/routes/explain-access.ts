import { type Static, Type } from 'typebox'
import { listsOf } from '#core/access/access-policy.ts'
import { type Action, actions, type Qos } from '#core/access/access-rule.ts'
import {
  type AccessRequest,
  type AccessSubject,
  type AppliedTopic,
  explain,
  type Explanation,
} from '#core/access/explain.ts'
import { summaryOf, whyNot } from '#core/access/explanation-text.ts'
import { type Attributes, AttributesSchema } from '#core/identity/attributes.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../app.ts'
import { askedIdentity, type AskedFor, type AskedIdentity } from '../asked-identity.ts'
import { bodyProblems, keyProblems } from '../openapi/route-docs.ts'
import { organizationOf } from '../organization-of.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { closed } from './request-fields.ts'

export interface ExplainRouteOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialReader
}

const question = {
  action: Type.Enum(actions),
  topic: Type.String({
    minLength: 1,
    maxLength: 1024,
    description: 'The topic to publish to, or the filter to subscribe to.',
  }),
  qos: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 2,
      description: 'Of a publish, or as it is subscribed; 0 by default.',
    }),
  ),
  retain: Type.Optional(Type.Boolean({ description: 'Whether a publish is retained; false by default.' })),
  client_id: Type.Optional(
    Type.String({ minLength: 1, maxLength: 256, description: 'The MQTT client id, where rules ask for it.' }),
  ),
}

const aName = (description: string) => Type.String({ minLength: 1, maxLength: 128, description })

const UserBody = Type.Object(
  { kind: Type.Literal('user'), user: aName('The username, with or without @org_….'), ...question },
  { ...closed, title: 'ExplainUser', description: 'What a permanent user may do.' },
)
const CredentialBody = Type.Object(
  { kind: Type.Literal('credential'), credential: aName('Id or username, tmp_….'), ...question },
  { ...closed, title: 'ExplainCredential', description: 'What a temporary credential may do.' },
)
const IdentityBody = Type.Object(
  {
    kind: Type.Literal('identity'),
    access_lists: Type.Optional(
      Type.Array(aName('Name of an AccessList.'), {
        maxItems: 16,
        description: 'The organization’s default lists when absent.',
      }),
    ),
    attributes: Type.Optional({
      ...AttributesSchema,
      description: 'Identity variables by name, such as user_id.',
    }),
    ...question,
  },
  { ...closed, title: 'ExplainIdentity', description: 'What somebody might do who does not exist yet.' },
)
const ExplainBody = Type.Union([UserBody, CredentialBody, IdentityBody])
type ExplainBody = Static<typeof ExplainBody>

const AnsweredRule = Type.Object({
  list: Type.String({ description: 'Name of the AccessList; (inline) or (narrowing) where there is none.' }),
  index: Type.Integer({ description: 'Which of its rules; the first is 0.' }),
  effect: Type.Enum(['allow', 'deny']),
  actions: Type.Array(Type.Enum(actions)),
  topic: Type.String({ description: 'As it stands in the rule.' }),
  filter: Type.Optional(
    Type.String({ description: 'With variables filled in; absent where the rule does not apply.' }),
  ),
})
const ExplainAnswer = Type.Object({
  allowed: Type.Boolean(),
  summary: Type.String({ description: 'For people.' }),
  max_qos: Type.Optional(Type.Integer({ description: 'Highest QoS that is allowed.' })),
  reason: Type.Optional(
    Type.Enum(['no-rule', 'deny-rule', 'qos', 'retain', 'reserved-topic', 'invalid-topic'], {
      description: 'Why it is denied.',
    }),
  ),
  decided_by: Type.Enum(['own', 'ceiling', 'narrowing'], {
    description:
      'Which of all that has to allow it decided: its own lists and rules, or a bound around them.',
  }),
  rule: Type.Optional(AnsweredRule),
  access_lists: Type.Array(Type.String(), { description: 'Every list that counts.' }),
  missing_lists: Type.Array(Type.String(), {
    description: 'Those that are not there: each denies everything.',
  }),
  exceptions: Type.Array(AnsweredRule, {
    description: 'Denies inside a subscription that is allowed: messages they speak of are not delivered.',
  }),
  nearest: Type.Array(
    Type.Object({
      ...AnsweredRule.properties,
      because: Type.Enum(['action', 'value', 'variable', 'wider', 'topic']),
      why: Type.String({ description: 'For people.' }),
    }),
    { description: 'Where no rule allows it: rules that come near, the nearest first.' },
  ),
  attributes: Type.Unsafe<Attributes>({
    ...AttributesSchema,
    description: 'What variables stand for. client_id is missing unless the request names one.',
  }),
  cannot_connect: Type.Optional(
    Type.Enum(['suspended', 'client-id'], { description: 'Why nobody gets so far as to be judged by this.' }),
  ),
})
type ExplainAnswer = Static<typeof ExplainAnswer>

export function explainAccessRoute(app: App, { identities, credentials }: ExplainRouteOptions): void {
  app.post(
    '/v1/access/explain',
    {
      schema: { body: ExplainBody, response: { 200: ExplainAnswer } },
      onRequest: requireApiKey(identities, 'explain'),
      config: {
        docs: {
          tag: 'Access',
          summary: 'Explain what somebody may do, by which rule, and why not',
          description:
            'By a secret key with the scope explain. Decided as the broker decides; nothing is changed.',
          caller: 'apiKey',
          problems: [...keyProblems, ...bodyProblems, 'user_not_found', 'credential_not_found'],
          example: {
            kind: 'user',
            user: 'sensor_01',
            action: 'publish',
            topic: 'devices/sensor_01/temperature',
          },
        },
      },
    },
    async ({ body, caller }): Promise<ExplainAnswer> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      const { organization } = caller
      const { defaultLists: defaults } = await organizationOf(identities, caller)
      const { client_id: clientId } = body
      const asked = await askedIdentity({ identities, credentials }, organization, questionOf(body), clientId)
      const { policy, attributes } = asked
      const found = await identities.getMany('access-list', organization, listsOf(policy, defaults))
      return answerOf({ policy, defaults, found, attributes }, requestOf(body), asked.cannotConnect)
    },
  )
}

function questionOf(body: ExplainBody): AskedFor {
  switch (body.kind) {
    case 'user':
      return { user: body.user }
    case 'credential':
      return { credential: body.credential }
    case 'identity':
      return { lists: body.access_lists ?? [], attributes: body.attributes ?? {} }
  }
}

function requestOf({ action, topic, qos = 0, retain = false }: ExplainBody): AccessRequest {
  return { action: action as Action, topic, qos: qos as Qos, retain }
}

function answerOf(
  subject: AccessSubject,
  request: AccessRequest,
  cannotConnect: AskedIdentity['cannotConnect'],
): ExplainAnswer {
  const explanation = explain(subject, request)
  const { verdict, decidedBy, rule, lists, missingLists, exceptions, nearest }: Explanation = explanation
  return {
    allowed: verdict.allowed,
    summary: summaryOf(explanation, request),
    ...(verdict.allowed ? { max_qos: verdict.maxQos } : { reason: verdict.reason }),
    decided_by: decidedBy,
    ...(rule === undefined ? {} : { rule: answeredRule(rule) }),
    access_lists: [...lists],
    missing_lists: [...missingLists],
    exceptions: exceptions.map(answeredRule),
    nearest: nearest.map((miss) => ({
      ...answeredRule(miss),
      because: miss.because,
      why: whyNot(miss, request),
    })),
    attributes: subject.attributes,
    ...(cannotConnect === undefined ? {} : { cannot_connect: cannotConnect }),
  }
}

function answeredRule({
  list,
  index,
  effect,
  actions,
  topic,
  filter,
}: AppliedTopic): Static<typeof AnsweredRule> {
  return { list, index, effect, actions: [...actions], topic, ...(filter === undefined ? {} : { filter }) }
}
