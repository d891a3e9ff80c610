import { type Static, Type } from 'typebox'
import { formatUsername } from '#core/credentials/username.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type AnsweredCredential, answerOf } from '../credential-answer.ts'

const text = Type.String()

/** What the hosted product answers to an exchange, a creation and a renewal; its documentation's names beside its client's. */
export const V2TokenAnswer = Type.Object({
  token_id: Type.String({ description: 'By which the token is renewed.' }),
  access_token: Type.String({ description: 'The MQTT password.' }),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer(),
  mqtt_credentials: Type.Object({ username: text, password: text }),
  mqtt_username: text,
  mqtt_password: text,
  user_email: Type.Union([text, Type.Null()]),
  user_id: Type.Union([text, Type.Null()], { description: 'The subject of the identity token.' }),
  provider: Type.String({ description: 'Type of the identity provider, or cloudsignal.' }),
  expires_at: Type.String({ format: 'date-time' }),
  refresh_recommended_at: Type.String({ format: 'date-time' }),
})

/** Where no identity provider had a part in it. */
export const ownProvider = 'cloudsignal'

export function v2TokenAnswer(
  credential: AnsweredCredential,
  organization: OrganizationId,
  attributes: Readonly<Record<string, string>>,
  provider: string,
): Static<typeof V2TokenAnswer> {
  const { username, password, expires_in, expires_at, refresh_recommended_at } = answerOf(
    credential,
    organization,
    {},
  )
  return {
    // With the organization in it: a renewal names nothing else.
    token_id: formatUsername({ local: credential.id, organization }),
    access_token: password,
    token_type: 'Bearer',
    expires_in,
    mqtt_credentials: { username, password },
    mqtt_username: username,
    mqtt_password: password,
    user_email: attributes['email'] ?? null,
    user_id: attributes['user_id'] ?? null,
    provider,
    expires_at,
    refresh_recommended_at,
  }
}
