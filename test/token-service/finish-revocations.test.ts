import { expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { silentLog } from '#core/process/logger.ts'
import { finishRevocations } from '../../token-service/finish-revocations.ts'
import { anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'

const all = [anOrganizationId, anotherOrganizationId]
const identities = { organizations: async () => all }

test('what others left half told is told for every organization', async () => {
  const finished: OrganizationId[] = []
  const finish = async (organization: OrganizationId): Promise<void> => void finished.push(organization)
  await finishRevocations({ identities, finish, log: silentLog, signal: new AbortController().signal })
  expect(finished).toEqual(all)
})

test('a store that is away is asked again, until the process ends', async () => {
  const ending = new AbortController()
  let asked = 0
  const finish = async (): Promise<void> => {
    asked += 1
    if (asked === 3) ending.abort()
    throw new DomainError('store-unavailable', 'Redis did not answer')
  }
  const pause = async (): Promise<void> => {}
  await finishRevocations({ identities, finish, log: silentLog, signal: ending.signal, pause })
  expect(asked).toBe(3)
})

test('an organization that can not be read now holds up no other, and only it is tried again', async () => {
  const tried: OrganizationId[] = []
  const finish = async (organization: OrganizationId): Promise<void> => {
    tried.push(organization)
    if (organization === anOrganizationId && tried.length < 4)
      throw new DomainError('record-damaged', 'the store holds something that is no credential record')
  }
  const pause = async (): Promise<void> => {}
  const { signal } = new AbortController()
  await finishRevocations({ identities, finish, log: silentLog, signal, pause })
  expect(tried).toEqual([...all, anOrganizationId, anOrganizationId])
})
