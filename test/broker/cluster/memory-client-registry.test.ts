import { MemoryClientRegistry } from '../../../broker/cluster/memory-client-registry.ts'
import { clientRegistryContract } from '../../contracts/client-registry.ts'

clientRegistryContract(async () => {
  let now = 1_000
  const registry = new MemoryClientRegistry(() => now)
  return {
    here: registry,
    there: registry,
    async advance(ms) {
      now += ms
    },
  }
})
