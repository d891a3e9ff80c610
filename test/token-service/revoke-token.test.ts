import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, send, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

const revoke = (id: string, headers: Record<string, string> = {}): Promise<Answer> =>
  send(service.app, 'DELETE', `/v1/tokens/${id}`, undefined, {
    authorization: `Bearer ${service.secretKey}`,
    ...headers,
  })

describe('a credential is revoked by its id:', () => {
  test('it is gone, and the control log says so', async () => {
    const { body } = await service.exchange({ token: await service.token() })
    const id = String(body['id'])
    // Some clients say application/json whatever they send.
    const answer = await revoke(id, { 'content-type': 'application/json' })
    expect(answer).toMatchObject({ status: 204, text: '' })
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(await service.credentials.get(anOrganizationId, id)).toBeUndefined()
    expect(service.control.filter(({ type }) => type === 'credential').at(-1)).toEqual({
      type: 'credential',
      organization: anOrganizationId,
      name: id,
    })
  })

  test('one that is not there any more is not found, and is told once more', async () => {
    const { body } = await service.exchange({ token: await service.token() })
    const id = String(body['id'])
    await revoke(id)
    const before = service.control.length
    expect(await revoke(id)).toMatchObject({ status: 404, body: { code: 'credential_not_found' } })
    expect(service.control).toHaveLength(before + 1)
  })

  test('what is no id of a temporary credential is not found, and told to nobody', async () => {
    const before = service.control.length
    for (const id of ['ada', 'tmp_%2e%2e%2f', 'tmp_%00', '__proto__', 'tmp_a@org_k7xm4pqr2n5t']) {
      expect(await revoke(id)).toMatchObject({ status: 404, body: { code: 'credential_not_found' } })
    }
    expect(service.control).toHaveLength(before)
  })
})
