import AsyncMemoryPersistence from 'aedes-persistence/asyncPersistence.js'
import type { SessionOwner } from './session-persistence.ts'

/** Sessions, queues and retained messages of one organization in this process. */
export class MemoryPersistence extends AsyncMemoryPersistence {
  /** The package leaves the queue of a session that ends. */
  override async cleanSubscriptions(owner: SessionOwner): Promise<void> {
    await super.cleanSubscriptions(owner)
    for await (const { messageId } of this.outgoingStream(owner)) {
      await this.outgoingClearMessageId(owner, { messageId: messageId as number })
    }
  }
}
