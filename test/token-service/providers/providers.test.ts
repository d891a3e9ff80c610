import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { providerTypes, type ProviderType } from '#core/resources/identity-provider.ts'
import { providerKinds } from '../../../token-service/providers/index.ts'
import { describeIdentityProvider } from '../../contracts/identity-provider.ts'
import { moreSamples, providerSamples } from '../../fixtures/provider-samples.ts'

const each = <Type extends ProviderType>(type: Type): void =>
  describeIdentityProvider(type, providerSamples[type])
for (const type of Object.keys(providerKinds) as ProviderType[]) each(type)
for (const { type, sample, name } of moreSamples) describeIdentityProvider(type, sample, name)

describe('the list of providers', () => {
  test('has every type that an IdentityProvider may have, each under its own name', () => {
    expect(Object.keys(providerKinds).toSorted()).toEqual([...providerTypes].toSorted())
    for (const [name, { type }] of Object.entries(providerKinds)) expect(type).toBe(name)
  })

  test('has every file of its folder, but for parts of one: <type>-<part>.ts', () => {
    const directory = new URL('../../../token-service/providers/', import.meta.url)
    const isPart = (name: string) => providerTypes.some((type) => name.startsWith(`${type}-`))
    const files = readdirSync(directory).filter(
      (name) => !['index.ts', 'provider.ts'].includes(name) && !isPart(name),
    )
    expect(files.map((name) => name.replace(/\.ts$/, '')).toSorted()).toEqual(
      Object.keys(providerKinds).toSorted(),
    )
  })
})
