import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../../../operator/runtime/objects.ts'
import { hasChanged, isObserved } from '../../../operator/runtime/predicates.ts'

const object = (over: Partial<KubernetesObject['metadata']> = {}, status?: object): KubernetesObject => ({
  metadata: { name: 'one', generation: 2, resourceVersion: '7', ...over },
  ...(status === undefined ? {} : { status }),
})

describe('an object is observed', () => {
  test('when its status is of its generation, and not before or after', () => {
    expect(isObserved(object({}, { observedGeneration: 2 }))).toBe(true)
    for (const status of [undefined, {}, { observedGeneration: 1 }, { observedGeneration: '2' }]) {
      expect(isObserved(object({}, status))).toBe(false)
    }
  })

  test('never when it has no generation', () => {
    const { generation: _, ...metadata } = object().metadata
    expect(isObserved({ metadata })).toBe(false)
  })
})

test.each<[string, boolean, Partial<KubernetesObject['metadata']>]>([
  ['another generation', true, { generation: 3 }],
  ['the mark of deletion', true, { deletionTimestamp: '2026-11-25T00:00:00Z' }],
  ['an annotation', true, { annotations: { note: '1' } }],
  ['a finalizer', true, { finalizers: ['held'] }],
  ['only another version, as after a write of the status', false, { resourceVersion: '8' }],
])('an update by %s is worth a reconcile: %s', (_what, expected, over) => {
  expect(hasChanged(object(over), object())).toBe(expected)
})
