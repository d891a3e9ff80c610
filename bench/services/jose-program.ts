/**
 * What an exchange is held against: one process that does nothing but verify identity tokens with jose, as its README
 * shows it. `jose-program.ts FILE WARM SECONDS`; `begin` and `end` on stdout around what is counted, then one line of JSON.
 */
import { readFile } from 'node:fs/promises'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import type { ExchangeTokens } from './exchange-tokens.ts'

const inFlight = 64

const [file = '', warm = '2', seconds = '5'] = process.argv.slice(2)
const { tokens, jwks, issuer, audience } = JSON.parse(await readFile(file, 'utf8')) as ExchangeTokens
const keys = createLocalJWKSet(jwks as JSONWebKeySet)

await verifyFor(Number(warm))
console.log('begin')
const began = performance.now()
const verified = await verifyFor(Number(seconds))
console.log('end')
console.log(JSON.stringify({ verified, secs: (performance.now() - began) / 1000 }))

async function verifyFor(duration: number): Promise<number> {
  const end = performance.now() + duration * 1000
  let count = 0
  const verifyOn = async (): Promise<void> => {
    while (performance.now() < end) {
      const token = tokens[count % tokens.length] ?? ''
      count += 1
      await jwtVerify(token, keys, { issuer, audience })
    }
  }
  await Promise.all(Array.from({ length: inFlight }, verifyOn))
  return count
}
