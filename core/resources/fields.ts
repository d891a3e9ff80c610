import { Type } from 'typebox'

/** Field schemas that several kinds share. Every string and list is bounded: CEL's cost budget needs it. */

/** A name of another object in the same namespace (RFC 1123 subdomain). */
export const objectNamePattern = '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$'

export const objectName = (description: string) =>
  Type.String({ pattern: objectNamePattern, maxLength: 253, description })

/** `60m`, `3600s`, `24h`; not longer than CEL's `duration()` can hold. */
export const durationPattern = '^([1-9][0-9]{0,6}[sm]|[1-9][0-9]{0,5}h)$'

export const duration = (description: string) =>
  Type.String({ pattern: durationPattern, maxLength: 8, description })

export const accessListRefs = (description: string) =>
  Type.Array(Type.Object({ name: objectName('Name of an AccessList of the same Organization.') }, closed), {
    maxItems: 16,
    description,
  })

export const closed = { additionalProperties: false } as const

/** Where the Organization is. Its namespace may differ for an MqttUser only, where `allowedNamespaces` says so. */
export const organizationRef = Type.Object(
  { name: objectName('Name of the Organization, in the same namespace.') },
  { ...closed, description: 'The Organization this belongs to. Can not be changed.' },
)

/** One key of a Secret in the same namespace. */
export const secretKeyRef = (defaultKey: string, description: string) =>
  Type.Object(
    {
      name: objectName('Name of the Secret.'),
      key: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 253,
          description: `Key in the Secret; ${defaultKey} by default.`,
        }),
      ),
    },
    { ...closed, description },
  )

const secondsPerUnit: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 }

/** Seconds of a duration field such as `60m`; the field's pattern has been checked. */
export function durationSeconds(text: string): number {
  return Number(text.slice(0, -1)) * (secondsPerUnit[text.slice(-1)] ?? Number.NaN)
}
