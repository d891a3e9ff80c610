import type { ControlEntry, ControlLogWriter } from '#core/stores/control-log.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { describeControlLog } from '../../contracts/control-log.ts'
import { describeCredentialStore } from '../../contracts/credential-store.ts'
import { describeIdentityStore } from '../../contracts/identity-store.ts'

function recordingLog(): { log: ControlEntry[]; writer: ControlLogWriter } {
  const log: ControlEntry[] = []
  return { log, writer: { append: async (entry) => void log.push(entry) } }
}

describeControlLog('the control log in memory', async () => new MemoryControlLog())

describeIdentityStore('the identity store in memory', async () => {
  const { log, writer } = recordingLog()
  return { store: new MemoryIdentityStore(writer), log }
})

describeCredentialStore('the credential store in memory', async () => {
  const { log, writer } = recordingLog()
  let now = 1_700_000_000_000
  return {
    store: new MemoryCredentialStore(writer, () => now),
    log,
    pass: async (ms) => void (now += ms),
  }
})
