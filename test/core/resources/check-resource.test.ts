import { describe, expect, it } from 'vitest'
import { describeProblem } from '#core/errors.ts'
import { checkResource } from '#core/resources/check-resource.ts'
import type { AnyResource } from '#core/resources/index.ts'
import { readCorpus } from '../../fixtures/manifest-corpus.ts'

/** The problems as people see them. */
function problemsOf(value: unknown, old?: AnyResource): string[] {
  return (checkResource(value, old).problems ?? []).map(describeProblem)
}

/** The verdict of every document in order; one that names the same object as an earlier one changes that. */
function verdicts(documents: readonly unknown[]): ReturnType<typeof checkResource>[] {
  const accepted = new Map<string, AnyResource>()
  return documents.map((document) => {
    const { kind, metadata } = document as AnyResource
    const verdict = checkResource(document, accepted.get(`${kind}/${metadata.name}`))
    if (verdict.resource !== undefined) {
      accepted.set(`${kind}/${metadata.name}`, verdict.resource as unknown as AnyResource)
    }
    return verdict
  })
}

const manifest = (kind: string, spec: unknown, metadata: unknown = { name: 'sensor-01' }) => ({
  apiVersion: 'cloudsignal.app/v1alpha1',
  kind,
  metadata,
  spec,
})
const user = (spec: object) => manifest('MqttUser', { organizationRef: { name: 'acme' }, ...spec })
const list = (rule: object) =>
  manifest('AccessList', {
    organizationRef: { name: 'acme' },
    rules: [{ effect: 'allow', actions: ['publish'], topics: ['a'], ...rule }],
  })

describe('the corpus of manifests', () => {
  it.for(readCorpus('good'))('accepts every document of good/$name', ({ documents }) => {
    expect(verdicts(documents).flatMap(({ problems }) => problems ?? [])).toEqual([])
  })

  it.for(readCorpus('bad').filter(({ only }) => only !== 'api-server'))(
    'refuses bad/$name and names the field',
    ({ documents, expected }) => {
      const all = verdicts(documents)
      const last = all.at(-1)
      expect(all.slice(0, -1).flatMap(({ problems }) => problems ?? [])).toEqual([])
      expect(last?.problems?.map(({ field }) => field).toSorted()).toEqual(expected.toSorted())
    },
  )
})

describe('what a person is told', () => {
  it('names the unknown field and the closest known one', () => {
    expect(problemsOf(user({ usrname: 'x' }))).toEqual(['spec.usrname: is no field; did you mean username?'])
  })

  it('lists the known fields when none is close', () => {
    expect(problemsOf(manifest('MqttUser', { organizationRef: { name: 'acme', zone: 1 } }))).toEqual([
      'spec.organizationRef.zone: is no field; there are name, namespace',
    ])
  })

  it('never shows the value of an unknown field, which may be a password', () => {
    expect(problemsOf(user({ password: 'hunter2' })).join()).not.toContain('hunter2')
  })

  it('lists the choices of an enumeration and the one that was meant', () => {
    expect(problemsOf(list({ effect: 'alow' }))).toEqual([
      'spec.rules[0].effect="alow": give one of allow, deny; did you mean allow?',
    ])
  })

  it('says in words what a pattern asks for', () => {
    expect(problemsOf(user({ rotation: { interval: '1 day' } }))).toEqual([
      'spec.rotation.interval="1 day": give a duration such as 60s, 15m or 24h',
    ])
  })

  it('says what a missing field is for', () => {
    expect(problemsOf(manifest('MqttUser', {}))).toEqual([
      'spec.organizationRef: must be given: The Organization this user belongs to. Can not be changed.',
    ])
  })

  it('names the variable that nobody provides', () => {
    expect(problemsOf(list({ topics: ['a', 'a/{usr}'] }))).toEqual([
      expect.stringMatching(
        /^spec\.rules\[0\]\.topics\[1\]="a\/\{usr\}": knows no variable \{usr\}; use username, /,
      ),
    ])
  })

  it('reports every problem at once', () => {
    const rules = Array.from({ length: 12 }, () => ({ effect: 'x', actions: ['publish'], topics: ['a'] }))
    const value = manifest('AccessList', { organizationRef: { name: 'acme' }, rules }, { name: 'No' })
    expect(problemsOf(value)).toHaveLength(13)
  })

  it.for([
    ['a text', 'hello'],
    ['nothing', null],
    ['a list', [1]],
  ] as const)('refuses %s in place of an object', ([, value]) => {
    expect(problemsOf(value)).toEqual(['kind: give an object with apiVersion, kind, metadata and spec'])
  })
})

describe('what the host gets', () => {
  it('puts an object without a namespace into default', () => {
    expect(checkResource(user({})).resource?.metadata.namespace).toBe('default')
  })

  it('keeps the namespace that was given', () => {
    const value = manifest('Organization', {}, { name: 'acme', namespace: 'iot' })
    expect(checkResource(value).resource?.metadata.namespace).toBe('iot')
  })

  it('accepts what kubectl prints of an object, status and all', () => {
    const metadata = { name: 'acme', uid: 'u', generation: 3, managedFields: [{}], finalizers: ['x/y'] }
    expect(problemsOf({ ...manifest('Organization', {}, metadata), status: { shortId: 'org_x' } })).toEqual(
      [],
    )
  })

  it('does not take a property of Object.prototype for a kind', () => {
    expect(problemsOf(manifest('constructor', {}))[0]).toMatch(/^kind="constructor": give one of /)
  })
})
