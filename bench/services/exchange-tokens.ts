import { CompactSign } from 'jose'
import { jwksOf, type Issuer } from '../../test/fixtures/issuer.ts'

/** Identity tokens as an issuer of users signs them, a person each. */
export interface ExchangeTokens {
  readonly tokens: readonly string[]
  readonly jwks: object
  readonly issuer: string
  readonly audience: string
}

const audience = 'authenticated'

export async function signTokens(
  issuer: Issuer,
  alg: 'RS256' | 'ES256',
  count: number,
): Promise<ExchangeTokens> {
  const { kid, privateKey } = issuer.keys[alg]
  const now = Math.floor(Date.now() / 1000)
  const tokens = await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const sub = `8b1d8c9e-4b1f-4e3a-9c65-${String(index).padStart(12, '0')}`
      const claims = {
        iss: issuer.url,
        aud: audience,
        sub,
        iat: now,
        exp: now + 3600,
        email: `person-${index}@example.com`,
        email_verified: true,
        sid: `5d1f2c3a-7a0b-4c7e-8f60-${String(index).padStart(12, '0')}`,
        role: 'authenticated',
        app_metadata: { provider: 'google', providers: ['google'] },
      }
      return new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg, kid, typ: 'JWT' })
        .sign(privateKey)
    }),
  )
  return { tokens, jwks: jwksOf(issuer.keys), issuer: issuer.url, audience }
}
