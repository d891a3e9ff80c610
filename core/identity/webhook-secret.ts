/** Of the Standard Webhooks specification: 24 to 64 bytes. Svix's have 24. */
const [fewestBytes, mostBytes] = [24, 64]
const mostKeys = 5
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * The keys in what a provider calls the signing secret of a webhook: `whsec_<base64>` as Clerk shows it, or
 * `v1,whsec_<base64>` as Supabase does. Several, while one takes the place of another, are separated by `|` or white space.
 * Undefined when one of them is none.
 */
export function webhookKeys(secret: string): readonly Buffer[] | undefined {
  const keys = secret
    .split(/[|\s]+/)
    .filter((text) => text !== '')
    .map(keyOf)
  if (keys.length === 0 || keys.length > mostKeys) return undefined
  return keys.every((key) => key !== undefined) ? keys : undefined
}

function keyOf(text: string): Buffer | undefined {
  const [, encoded] = /^(?:v1,)?whsec_(.+)$/.exec(text) ?? []
  if (encoded === undefined || !base64.test(encoded)) return undefined
  const key = Buffer.from(encoded, 'base64')
  return key.length >= fewestBytes && key.length <= mostBytes ? key : undefined
}
