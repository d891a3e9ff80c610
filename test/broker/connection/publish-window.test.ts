import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { PublishWindow } from '../../../broker/connection/publish-window.ts'

function start(most: number) {
  const window = new PublishWindow(most)
  const acknowledged: number[] = []
  const failures: unknown[] = []
  const stores: PromiseWithResolvers<void>[] = []
  const add = (): Promise<void> | undefined => {
    const index = stores.length
    const store = Promise.withResolvers<void>()
    stores.push(store)
    return window.add(
      store.promise,
      () => acknowledged.push(index),
      (error) => failures.push(error),
    )
  }
  return { window, acknowledged, failures, stores, add }
}

describe('messages on their way into the store', () => {
  test('are acknowledged in the order in which they came, whatever is stored first [MQTT-4.6.0-2]', async () => {
    const { acknowledged, stores, add } = start(10)
    for (let index = 0; index < 4; index += 1) add()
    for (const index of [2, 1, 3]) stores[index]?.resolve()
    await turn()
    expect(acknowledged).toEqual([])
    stores[0]?.resolve()
    await turn()
    expect(acknowledged).toEqual([0, 1, 2, 3])
  })

  test('hold the next packet back when the window is full, until it has drained', async () => {
    const { stores, add, window } = start(2)
    expect(window.drained).toBeUndefined()
    expect(add()).toBeUndefined()
    const full = add()
    let isOpen = false
    void full?.then(() => (isOpen = true))
    stores[1]?.resolve()
    await turn()
    expect(isOpen).toBe(false)
    stores[0]?.resolve()
    await turn()
    expect(isOpen).toBe(true)
    expect(window.drained).toBeUndefined()
  })

  test('that fail are told and never acknowledged, nor is any after them', async () => {
    const { acknowledged, failures, stores, add } = start(10)
    add()
    add()
    stores[0]?.reject('away')
    stores[1]?.resolve()
    await turn()
    expect([acknowledged, failures]).toEqual([[], ['away']])
  })

  test('of a connection that has ended are not acknowledged, and nobody waits for them', async () => {
    const { acknowledged, stores, add, window } = start(1)
    const full = add()
    window.close()
    await full
    stores[0]?.resolve()
    await turn()
    expect(acknowledged).toEqual([])
  })
})
