import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'

describeSessionPersistence('MemoryPersistence', async () => new MemoryPersistence())
