import { describe, expect, test } from 'vitest'
import { webhookKeys } from '#core/identity/webhook-secret.ts'

const [one, two] = [Buffer.alloc(24, 1), Buffer.alloc(32, 2)]
const [first, second] = [one, two].map((key) => key.toString('base64'))

describe('the signing secret of a webhook', () => {
  test.each([
    ['as Clerk shows it', `whsec_${first}`, [one]],
    ['as Supabase shows it', `v1,whsec_${second}`, [two]],
    [
      'two of them, while one takes the place of the other',
      `v1,whsec_${first}|v1,whsec_${second}`,
      [one, two],
    ],
    ['two lines', `whsec_${first}\nwhsec_${second}\n`, [one, two]],
  ])('is read %s', (_name, text, keys) => expect(webhookKeys(text)).toEqual(keys))

  test.each([
    ['nothing', ''],
    ['white space', ' \n'],
    ['without its prefix', first],
    ['an API key', 'sk_live_abcdefghijklmnopqrstuvwxyz'],
    ['a short one', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['a long one', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['no base64', `whsec_${'*'.repeat(32)}`],
    ['base64url', `whsec_${'-_'.repeat(16)}`],
    ['a good one and a bad one', `whsec_${first}|whsec_`],
    ['six', Array.from({ length: 6 }, () => `whsec_${first}`).join('|')],
  ])('is none: %s', (_name, text) => expect(webhookKeys(String(text))).toBeUndefined())
})
