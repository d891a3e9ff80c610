import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { describeGroupPersistence } from '../../contracts/groups.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'

const create = async (): Promise<MemoryPersistence> => new MemoryPersistence()

describeSessionPersistence('MemoryPersistence', create)
describeRetainedMessages('MemoryPersistence', create)
describeGroupPersistence('MemoryPersistence', async (announcer) => {
  const persistence = new MemoryPersistence()
  await persistence.setup(announcer)
  return persistence
})
