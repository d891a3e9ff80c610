import { issuerUrl } from './identity-issuer.ts'

export interface Manifest {
  readonly kind: string
  /** In paths of the API. */
  readonly plural: string
  readonly name: string
  readonly spec: object
  /** The Secret that the operator makes for it. */
  readonly secret?: string
}

/** A label of all that a check makes. Nothing without it is ever deleted. */
export const ownLabel = 'cloudsignal.app/check'

/** The person that the identity token is of. */
export const person = 'user_check'

/** In the order in which they are made. */
export function throwAwayObjects(name: string, publicKey: string): readonly Manifest[] {
  const organizationRef = { name }
  const accessListRefs = [{ name }]
  const topics = ['devices/{username}/#', 'users/{user_id}/#']
  const specs: readonly (readonly [kind: string, plural: string, spec: object, secret?: string])[] = [
    ['Organization', 'organizations', { displayName: 'Check of the installation' }],
    [
      'AccessList',
      'accesslists',
      { organizationRef, rules: [{ effect: 'allow', actions: ['publish', 'subscribe'], topics }] },
    ],
    ['MqttUser', 'mqttusers', { organizationRef, accessListRefs }, `${name}-mqtt`],
    [
      'IdentityProvider',
      'identityproviders',
      { organizationRef, accessListRefs, type: 'clerk', clerk: { issuer: issuerUrl, publicKey } },
    ],
    [
      'ApiKey',
      'apikeys',
      {
        organizationRef,
        accessListRefs,
        type: 'secret',
        scopes: ['exchange', 'revoke'],
      },
      `${name}-api-key`,
    ],
  ]
  return specs.map(([kind, plural, spec, secret]) => ({
    kind,
    plural,
    name,
    spec,
    ...(secret === undefined ? {} : { secret }),
  }))
}
