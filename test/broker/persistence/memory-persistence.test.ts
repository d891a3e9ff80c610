import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'

const create = async (): Promise<MemoryPersistence> => new MemoryPersistence()

describeSessionPersistence('MemoryPersistence', create)
describeRetainedMessages('MemoryPersistence', create)
