import { beforeEach, describe, expect, test } from 'vitest'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { type ProviderSecrets, readProviderSecrets } from '../../../operator/reconcilers/provider-secrets.ts'
import { secretNamesOf } from '../../../operator/reconcilers/secret-names.ts'
import { MemoryHost } from '../../fixtures/memory-host.ts'
import { anOrganizationId, anotherOrganizationId, aProvider } from '../../fixtures/records.ts'
import { acme, aResource } from '../../fixtures/resources.ts'
import { aSealingKey, aSealingKeyText, sealingKeysOf } from '../../fixtures/sealing.ts'

const provider = aResource('IdentityProvider', 'login', {
  ...acme,
  type: 'oidc',
  oidc: { issuer: 'https://issuer.example.com', audience: ['app'] },
  webhook: { secretRef: { name: 'hooks' } },
  liveCheck: { secretRef: { name: 'hooks', key: 'api' } },
})
const { uid } = provider.metadata

let host: MemoryHost
let store: MemoryIdentityStore
let sealing: SealingKeys | undefined
beforeEach(() => {
  host = new MemoryHost()
  store = new MemoryIdentityStore(new MemoryControlLog())
  sealing = aSealingKey()
  host.putSecret('default', 'hooks', { secret: 'whsec_1', api: 'sk_live_1' })
})

const read = async (): Promise<ProviderSecrets> => {
  const record = await store.get('provider', anOrganizationId, 'login')
  return readProviderSecrets({ host, sealing }, provider, anOrganizationId, record)
}
async function sealed(): Promise<Readonly<Record<string, string>>> {
  const found = await read()
  if (found.refusal !== undefined) throw new Error(found.refusal.message)
  return found.sealed
}
const refusal = async (): Promise<string> => {
  const { refusal } = await read()
  return `${refusal?.reason}: ${refusal?.message}`
}
const keep = async (secrets: Readonly<Record<string, string>>, over = {}): Promise<void> =>
  void (await store.put('provider', anOrganizationId, 'login', aProvider({ uid, secrets, ...over })))

describe('the secrets of a provider', () => {
  test('are sealed each for its use, and open for nobody else’s', async () => {
    const secrets = await sealed()
    expect(JSON.stringify(secrets)).not.toMatch(/whsec_1|sk_live_1/)
    const record = { uid, secrets }
    expect(openProviderSecret(sealing, anOrganizationId, record, 'webhook')).toBe('whsec_1')
    expect(openProviderSecret(sealing, anOrganizationId, record, 'live-check')).toBe('sk_live_1')
    expect(openProviderSecret(sealing, anOrganizationId, record, 'jwt')).toBeUndefined()
    const exchanged = { uid, secrets: { webhook: secrets['live-check'] ?? '' } }
    const copied = { uid: 'uid-other', secrets }
    for (const [organization, moved] of [
      [anOrganizationId, exchanged],
      [anOrganizationId, copied],
      [anotherOrganizationId, record],
    ] as const) {
      expect(() => openProviderSecret(sealing, organization, moved, 'webhook')).toThrow(
        expect.objectContaining({ code: 'secret-sealed' }),
      )
    }
    expect(() => openProviderSecret(undefined, anOrganizationId, record, 'webhook')).toThrow(
      /CLOUDSIGNAL_SEALING_KEYS_FILE/,
    )
  })

  test('stay as they are sealed while nothing changes, so that the record does not', async () => {
    const secrets = await sealed()
    await keep(secrets)
    expect(await sealed()).toEqual(secrets)
    host.putSecret('default', 'hooks', { secret: 'whsec_1', api: 'sk_live_1', more: 'x' })
    expect(await sealed()).toEqual(secrets)
  })

  test('are sealed anew where one of them changed, and only that one', async () => {
    const secrets = await sealed()
    await keep(secrets)
    host.putSecret('default', 'hooks', { secret: 'whsec_2', api: 'sk_live_1' })
    const after = await sealed()
    expect(after['live-check']).toBe(secrets['live-check'])
    expect(openProviderSecret(sealing, anOrganizationId, { uid, secrets: after }, 'webhook')).toBe('whsec_2')
  })

  test('are sealed anew by a new key while the former one still opens them, and once it is lost', async () => {
    const [old, fresh, third] = [aSealingKeyText(), aSealingKeyText(), aSealingKeyText()]
    sealing = sealingKeysOf(old)
    const before = await sealed()
    await keep(before)
    sealing = sealingKeysOf(old, fresh)
    expect(await sealed()).toEqual(before)
    sealing = sealingKeysOf(fresh, old)
    const after = await sealed()
    const record = { uid, secrets: after }
    expect(openProviderSecret(sealingKeysOf(fresh), anOrganizationId, record, 'webhook')).toBe('whsec_1')
    await keep(after)
    sealing = sealingKeysOf(third)
    const replaced = { uid, secrets: await sealed() }
    expect(openProviderSecret(sealingKeysOf(third), anOrganizationId, replaced, 'webhook')).toBe('whsec_1')
  })

  test('of a provider of the same name that went are not taken over', async () => {
    await keep(await sealed(), { uid: 'uid-former' })
    const record = { uid, secrets: await sealed() }
    expect(openProviderSecret(sealing, anOrganizationId, record, 'webhook')).toBe('whsec_1')
  })

  test('lose the line break that an editor leaves behind them', async () => {
    host.putSecret('default', 'hooks', { secret: 'whsec_1\r\n', api: 'two\nlines\n' })
    const record = { uid, secrets: await sealed() }
    expect(openProviderSecret(sealing, anOrganizationId, record, 'webhook')).toBe('whsec_1')
    expect(openProviderSecret(sealing, anOrganizationId, record, 'live-check')).toBe('two\nlines')
  })

  test('that are not there say which, and what to do', async () => {
    host.putSecret('default', 'hooks', { secret: 'whsec_1' })
    expect(await refusal()).toBe('SecretKeyMissing: Secret hooks has no key api, or nothing in it')
    host.putSecret('default', 'hooks', { secret: '\n', api: 'x' })
    expect(await refusal()).toMatch(/^SecretKeyMissing: Secret hooks has no key secret/)
    host.putSecret('default', 'hooks', { secret: 'x'.repeat(20_000), api: 'x' })
    expect(await refusal()).toMatch(/^SecretUnusable: key secret of Secret hooks/)
    host.secrets.clear()
    expect(await refusal()).toMatch(
      /^SecretNotFound: there is no Secret hooks .* leave spec\.liveCheck\.secretRef out$/,
    )
    sealing = undefined
    expect(await refusal()).toMatch(/^SealingKeyMissing: .* CLOUDSIGNAL_SEALING_KEYS_FILE$/)
  })

  test('are those whose Secrets wake it', () => {
    expect(secretNamesOf('IdentityProvider', provider)).toEqual(['hooks'])
    const { webhook: _, liveCheck: __, ...without } = provider.spec
    expect(secretNamesOf('IdentityProvider', { ...provider, spec: without })).toEqual([])
  })

  test('need no key where there are none', async () => {
    const { webhook: _, liveCheck: __, ...without } = provider.spec
    const bare = { ...provider, spec: without }
    const parts = { host, sealing: undefined }
    expect(await readProviderSecrets(parts, bare, anOrganizationId, undefined)).toEqual({
      clear: new Map(),
      sealed: {},
    })
  })
})
