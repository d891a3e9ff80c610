import { describe, expect, test } from 'vitest'
import { cachedObject } from '../../operator/kubernetes/cached-object.ts'

const metadata = { name: 'ada', namespace: 'a', uid: 'u', resourceVersion: '7', generation: 2 }
const spec = { organizationRef: { name: 'acme' } }

describe('of an object is kept', () => {
  test('what reconcilers read of it', () => {
    const object = {
      apiVersion: 'cloudsignal.app/v1alpha1',
      kind: 'MqttUser',
      metadata: {
        ...metadata,
        creationTimestamp: '2026-11-24T10:00:00Z',
        deletionTimestamp: '2026-11-24T11:00:00Z',
        finalizers: ['cloudsignal.app/records', 'others.example.com/hold'],
        annotations: { 'cloudsignal.app/note': 'x' },
      },
      spec,
      status: { username: 'ada@org' },
    }
    expect(cachedObject('MqttUser', structuredClone(object))).toEqual(object)
  })

  test('nothing that only others read', () => {
    const object = {
      metadata: {
        ...metadata,
        labels: { team: 'x' },
        annotations: { 'argocd.argoproj.io/sync-wave': '1' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'y' }],
        managedFields: [{ manager: 'kubectl' }],
      },
      spec,
    }
    expect(cachedObject('MqttUser', object)).toEqual({
      apiVersion: 'cloudsignal.app/v1alpha1',
      kind: 'MqttUser',
      metadata,
      spec,
    })
  })
})
