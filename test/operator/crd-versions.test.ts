import { describe, expect, test } from 'vitest'
import type { Log } from '#core/process/logger.ts'
import { resourceKindNames } from '#core/resources/index.ts'
import { ApiError, type ApiErrorCode } from '../../kubernetes/api-error.ts'
import { checkCrdVersions } from '../../operator/kubernetes/crd-versions.ts'
import { eventually } from '../fixtures/eventually.ts'
import { ManualTime } from './runtime/manual-time.ts'

function check(answers: readonly (ApiErrorCode | string | undefined)[]) {
  const asked: string[] = []
  const warned: string[] = []
  const log: Log = { debug() {}, info() {}, error() {}, warn: (_, message) => void warned.push(message) }
  const time = new ManualTime()
  const stopping = new AbortController()
  const api = {
    async get(_type: object, { name }: { name: string }) {
      const answer = answers[Math.min(asked.push(name), answers.length) - 1]
      if (answer !== undefined && !/^\d*$/.test(answer)) throw new ApiError(answer as ApiErrorCode, answer)
      return { metadata: { name, annotations: { 'cloudsignal.app/schema-version': answer } } }
    },
  }
  const options = { api: api as never, time, log, signal: stopping.signal }
  const outcome = checkCrdVersions(options).then(
    () => 'starts',
    (error: unknown) => String(error),
  )
  return { asked, warned, time, stopping, outcome }
}

describe('the operator asks whether the installed kinds are as new as it,', () => {
  test('for each of them, and starts', async () => {
    const { asked, outcome } = check(['9999'])
    expect(await outcome).toBe('starts')
    expect(asked).toHaveLength(resourceKindNames.length)
  })

  test('and does not start where any is older, says nothing of its version, or is missing', async () => {
    expect(await check(['9999', '9999', '0', '9999']).outcome).toMatch(
      /identityproviders\.cloudsignal\.app has 0, \d+ is needed.*kubectl apply/,
    )
    expect(await check([undefined]).outcome).toMatch(/has 0, /)
    expect(await check(['not-found']).outcome).toContain('organizations.cloudsignal.app is not installed')
  })

  test('and warns once where it has no right to know', async () => {
    const { warned, outcome } = check(['forbidden'])
    expect(await outcome).toBe('starts')
    expect(warned).toEqual([expect.stringContaining('no right to get customresourcedefinitions')])
  })

  test('waits for an API server that does not answer, and stops with the program', async () => {
    const { asked, time, outcome } = check(['unreachable', 'timeout', '9999'])
    await eventually('the first question', () => asked.length === 1 && time.waits.length > 0)
    await time.advance(1_000)
    await eventually('the second question', () => asked.length === 2 && time.waits.length > 0)
    await time.advance(2_000)
    expect(await outcome).toBe('starts')

    const other = check(['unreachable'])
    await eventually('the first question', () => other.asked.length === 1 && other.time.waits.length > 0)
    other.stopping.abort(new Error('shutting down'))
    expect(await other.outcome).toContain('shutting down')
  })
})
