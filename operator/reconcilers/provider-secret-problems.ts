import { webhookKeys } from '#core/identity/webhook-secret.ts'
import type { ProviderType } from '#core/resources/identity-provider.ts'
import type { ProviderSecretName } from '#core/sealing/provider-secrets.ts'

/** RFC 7518 §3.2: "A key of the same size as the hash output [...] or larger MUST be used". */
const shortestJwtSecret = 32

/** Why a secret can not be what it is for, without a word of it; undefined where nothing speaks against them. */
export function secretProblem(
  type: ProviderType,
  clear: ReadonlyMap<ProviderSecretName, string>,
): string | undefined {
  const jwt = clear.get('jwt')
  const jwtProblem = jwt === undefined ? undefined : problemOfJwtSecret(jwt)
  if (jwtProblem !== undefined) return `the secret of spec.supabase.jwtSecretRef ${jwtProblem}`
  const key = clear.get('live-check')
  const keyProblem =
    key === undefined ? undefined : type === 'auth0' ? problemOfClient(key) : problemOfApiKey(key)
  if (keyProblem !== undefined) return `the secret of spec.liveCheck.secretRef ${keyProblem}`
  const webhook = clear.get('webhook')
  return webhook === undefined || webhookKeys(webhook) !== undefined
    ? undefined
    : 'the secret of spec.webhook.secretRef is no signing secret: put whsec_... there, as the provider shows it'
}

/** What people put there by mistake would let in whoever knows it, and a public key is known to all. */
function problemOfJwtSecret(secret: string): string | undefined {
  if (secret.startsWith('-----BEGIN ') || secret.startsWith('{')) {
    return 'is a key of an asymmetric algorithm: leave jwtSecretRef out, or put the legacy JWT secret there'
  }
  if (/^(eyJ[\w-]+\.[\w-]+\.[\w-]+|sb_(publishable|secret)_.*)$/.test(secret)) {
    return 'is an API key of the project: put its legacy JWT secret there'
  }
  return Buffer.byteLength(secret) < shortestJwtSecret
    ? `has fewer than ${shortestJwtSecret} bytes: put the legacy JWT secret there, or a longer one in the project`
    : undefined
}

/** It becomes a header. */
function problemOfApiKey(key: string): string | undefined {
  if (/^pk_(live|test)_/.test(key)) return 'is a publishable key of Clerk: put a secret key (sk_...) there'
  return /^[\x21-\x7e]+$/.test(key)
    ? undefined
    : 'is no API key: it has a space or another character that none has'
}

const clientFields = ['client_id', 'client_secret', 'domain']

function problemOfClient(text: string): string | undefined {
  const remedy = `is not as it must be: put JSON there with ${clientFields.join(', ')}, each a text, the domain without https://`
  try {
    const client = JSON.parse(text) as Readonly<Record<string, unknown>> | null
    const { domain } = client ?? {}
    const isRight =
      clientFields.every((name) => typeof client?.[name] === 'string' && client[name] !== '') &&
      /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(String(domain))
    return isRight ? undefined : remedy
  } catch {
    return remedy
  }
}
