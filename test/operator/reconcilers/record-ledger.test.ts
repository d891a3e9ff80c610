import { beforeEach, describe, expect, test } from 'vitest'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { RecordLedger } from '../../../operator/reconcilers/record-ledger.ts'
import { anOrganizationId } from '../../fixtures/records.ts'

const list = { type: 'access-list', organization: anOrganizationId, name: 'a' } as const
const rules = (topic: string) => ({
  rules: [{ effect: 'allow' as const, actions: ['publish' as const], topics: [topic] }],
})

describe('the ledger of records', () => {
  let store: MemoryIdentityStore
  let ledger: RecordLedger
  beforeEach(() => {
    store = new MemoryIdentityStore(new MemoryControlLog())
    ledger = new RecordLedger(store)
  })
  const stored = async () => (await store.get('access-list', anOrganizationId, 'a'))?.rules[0]?.topics[0]

  test('knows what an object has written, until it is removed', async () => {
    await ledger.put('x', list, rules('1'))
    expect(ledger.written('x')).toEqual([list])
    await ledger.remove('x', list)
    expect(ledger.written('x')).toEqual([])
    expect(await stored()).toBeUndefined()
  })

  test('knows all that an object has written, where it is more than one', async () => {
    const other = { ...list, name: 'b' }
    await ledger.put('x', list, rules('1'))
    await ledger.put('x', other, rules('2'))
    await ledger.put('x', list, rules('3'))
    expect(ledger.written('x')).toEqual([other, list])
    await ledger.remove('x', other)
    expect(ledger.written('x')).toEqual([list])
  })

  test('lets nobody remove what another has written since', async () => {
    await ledger.put('x', list, rules('1'))
    await ledger.put('y', list, rules('2'))
    expect(ledger.written('x')).toEqual([])
    await ledger.remove('x', list)
    expect(await stored()).toBe('2')
    expect(ledger.written('y')).toEqual([list])
  })

  test('lets an object remove what it wrote before a restart', async () => {
    await store.put('access-list', anOrganizationId, 'a', rules('1'))
    await ledger.remove('x', list)
    expect(await stored()).toBeUndefined()
  })

  test('does one thing at a time to a record, in the order asked, also after a failure', async () => {
    const put = store.put.bind(store)
    store.put = () => Promise.reject(new Error('away'))
    const failed = ledger.put('x', list, rules('1'))
    const second = ledger.put('x', list, rules('2'))
    await expect(failed).rejects.toThrow('away')
    await expect(second).rejects.toThrow('away')
    store.put = put
    await Promise.all([
      ledger.put('x', list, rules('3')),
      ledger.remove('x', list),
      ledger.put('x', list, rules('4')),
    ])
    expect(await stored()).toBe('4')
    expect(ledger.written('x')).toEqual([list])
  })

  test('asks once more whether a record is an orphan before it removes it', async () => {
    await ledger.put('x', list, rules('1'))
    expect(await ledger.removeOrphan(list, () => false)).toBe(false)
    expect(await stored()).toBe('1')
    expect(await ledger.removeOrphan(list, () => true)).toBe(true)
    expect(await stored()).toBeUndefined()
  })

  test('knows whose records were changed or removed behind its back, without asking for what it wrote', async () => {
    const other = { ...list, name: 'b' }
    await ledger.put('x', list, rules('1'))
    await ledger.put('y', other, rules('2'))
    expect(await ledger.drifted()).toEqual([])
    await store.put('access-list', anOrganizationId, 'a', rules('by hand'))
    await store.remove('access-list', anOrganizationId, 'b')
    expect([...(await ledger.drifted())].toSorted()).toEqual(['x', 'y'])
    await ledger.put('x', list, rules('1'))
    await ledger.remove('y', other)
    expect(await ledger.drifted()).toEqual([])
  })

  test('takes no record for drifted that is written anew while it looks', async () => {
    await ledger.put('x', list, rules('1'))
    const look = store.drifted.bind(store)
    store.drifted = async (...asked) => {
      await ledger.put('x', list, rules('2'))
      return await look(...asked)
    }
    expect(await ledger.drifted()).toEqual([])
  })

  test('leaves what it abandons where it is', async () => {
    await ledger.put('x', list, rules('1'))
    ledger.abandon('x')
    expect(ledger.written('x')).toEqual([])
    expect(await stored()).toBe('1')
  })
})
