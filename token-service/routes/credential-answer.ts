import { type Static, Type } from 'typebox'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { NewCredential } from '../issuing/issue-credential.ts'

export interface Endpoints {
  readonly mqtts?: string
  readonly wss?: string
}

/** What every face says of a credential that was issued or renewed. */
export const credentialAnswer = {
  id: Type.String({ description: 'By which the credential is renewed and revoked.' }),
  username: Type.String({ description: 'The MQTT username.' }),
  password: Type.String({ description: 'The MQTT password. Shown once.' }),
  expires_at: Type.String({ format: 'date-time', description: 'RFC 3339, UTC.' }),
  expires_in: Type.Integer({ description: 'Seconds from now; needs no right clock.' }),
  refresh_recommended_at: Type.String({
    format: 'date-time',
    description: 'When nine tenths of its time are over.',
  }),
  organization: Type.String(),
  endpoints: Type.Optional(
    Type.Object(
      { mqtts: Type.Optional(Type.String()), wss: Type.Optional(Type.String()) },
      { description: 'Where to connect.' },
    ),
  ),
}
const CredentialAnswer = Type.Object(credentialAnswer)

/** `expiresIn` in seconds. */
export interface AnsweredCredential extends Pick<NewCredential, 'id' | 'username' | 'password'> {
  readonly expiresAt: number
  readonly expiresIn: number
}

export function answerOf(
  { id, username, password, expiresAt, expiresIn }: AnsweredCredential,
  organization: OrganizationId,
  endpoints: Endpoints,
): Static<typeof CredentialAnswer> {
  const isReachable = endpoints.mqtts !== undefined || endpoints.wss !== undefined
  return {
    id,
    username,
    password,
    expires_at: new Date(expiresAt).toISOString(),
    expires_in: expiresIn,
    refresh_recommended_at: new Date(expiresAt - expiresIn * 100).toISOString(),
    organization,
    ...(isReachable ? { endpoints } : {}),
  }
}

export function answeredCredential(
  { id, username, password, issued }: NewCredential,
  ttlSeconds: number,
): AnsweredCredential {
  return { id, username, password, expiresAt: issued.expiresAt, expiresIn: ttlSeconds }
}
