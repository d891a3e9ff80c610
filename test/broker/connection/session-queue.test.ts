import { beforeEach, describe, expect, test } from 'vitest'
import { SessionQueue } from '../../../broker/connection/session-queue.ts'
import { MemoryPersistence } from '../../../broker/persistence/memory-persistence.ts'
import { messageName, type QueuePage } from '../../../broker/persistence/session-persistence.ts'
import { aMessage } from '../../fixtures/messages.ts'

const owner = { id: 'user:ada/device' }

/** Its pages are answered when the test says, with what was there when they were asked for. */
class SlowPersistence extends MemoryPersistence {
  answer: () => void = () => {}

  override async outgoingPage(
    ...parameters: Parameters<MemoryPersistence['outgoingPage']>
  ): Promise<QueuePage> {
    const page = await super.outgoingPage(...parameters)
    await new Promise<void>((resolve) => (this.answer = resolve))
    return page
  }
}

let persistence: SlowPersistence
let queue: SessionQueue

beforeEach(async () => {
  persistence = new SlowPersistence()
  await persistence.openSession(owner, false, 60)
  queue = new SessionQueue({ persistence, owner }, () => {})
})

async function store(): Promise<string> {
  const message = aMessage()
  await persistence.outgoingEnqueueCombi([{ clientId: owner.id, topic: 'a', qos: 1 }], message)
  return messageName(message)
}

/** Reads a page, and does `meanwhile` between the question and the answer. */
async function read(meanwhile: () => Promise<void> = async () => {}): Promise<string[]> {
  const reading = queue.read(100)
  await new Promise((resolve) => setImmediate(resolve))
  await meanwhile()
  persistence.answer()
  return ((await reading) ?? []).map(({ name }) => name)
}

describe('the queue of a connected session', () => {
  test('reads once more when something came live while its last page was read', async () => {
    const first = await store()
    queue.fallBehind()
    let second = ''
    const page = await read(async () => {
      second = await store()
      expect(queue.takesLive(second)).toBe(false)
    })
    expect([page, queue.isBehind]).toEqual([[first], true])
    expect([await read(), queue.isBehind]).toEqual([[second], false])
  })

  test('does not take live what it has read a moment before', async () => {
    const name = await store()
    queue.fallBehind()
    await read()
    expect([queue.isBehind, queue.takesLive(name), queue.takesLive(await store())]).toEqual([
      false,
      false,
      true,
    ])
  })

  test('gives nothing that was done while it was read', async () => {
    const [before, during, after] = [await store(), await store(), await store()]
    queue.fallBehind()
    queue.write({ kind: 'done', name: before, messageId: 1 })
    const page = await read(async () => {
      queue.write({ kind: 'done', name: during, messageId: 2 })
      await new Promise((resolve) => setImmediate(resolve))
    })
    expect(page).toEqual([after])
  })
})
