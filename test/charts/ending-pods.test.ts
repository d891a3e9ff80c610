import { describe, expect, test } from 'vitest'
import { readSettings } from '#core/process/settings.ts'
import { brokerSettings, shutdownMs as brokerShutdownMs } from '../../broker/settings.ts'
import { shutdownMs as operatorShutdownMs } from '../../operator/settings.ts'
import { shutdownMs as tokenServiceShutdownMs } from '../../token-service/settings.ts'
import {
  environmentOf,
  manyValues,
  podOf,
  type ProgramName,
  programs,
  render,
  type RenderedObject,
} from './render.ts'

/** What a program may take after SIGTERM; as the broker's settings say. */
function shutdownSeconds(objects: readonly RenderedObject[], program: ProgramName): number {
  if (program === 'operator') return operatorShutdownMs / 1_000
  if (program === 'token-service') return tokenServiceShutdownMs / 1_000
  return brokerShutdownMs(readSettings(brokerSettings, environmentOf(objects, 'broker'))) / 1_000
}

function endOf(objects: readonly RenderedObject[], program: ProgramName) {
  const { terminationGracePeriodSeconds, containers } = podOf(objects, program).spec
  const { lifecycle } = containers[0]
  return { grace: terminationGracePeriodSeconds, preStop: lifecycle?.preStop.sleep.seconds ?? 0 }
}

describe('a pod that ends', () => {
  test.each([
    ['by default', {}],
    ['with many values', manyValues],
    [
      'with workers',
      { broker: { workers: 2, preStopSeconds: 0, drain: { delaySeconds: 600, seconds: 3600 } } },
    ],
  ])('has the time that its program needs, and a little more, %s', async (_, values) => {
    const objects = await render(values)
    for (const program of programs) {
      const { grace, preStop } = endOf(objects, program)
      const spare = grace - preStop - shutdownSeconds(objects, program)
      expect([program, spare >= 3 && spare <= 5]).toEqual([program, true])
    }
  })

  test('of the broker has what it waits, what it drains and 15 seconds', async () => {
    expect(endOf(await render(), 'broker')).toEqual({ grace: 5 + 0 + 15 + 15, preStop: 5 })
    expect(endOf(await render(manyValues), 'broker')).toEqual({ grace: 15 + 10 + 60 + 15, preStop: 15 })
    const atOnce = { preStopSeconds: 0, drain: { seconds: 0 } }
    expect(endOf(await render({ broker: atOnce }), 'broker')).toEqual({ grace: 15, preStop: 0 })
  })

  test('has more where that is given, and never less', async () => {
    const graces = async (terminationGracePeriodSeconds: number) => {
      const given = { terminationGracePeriodSeconds }
      const objects = await render({ broker: given, tokenService: given })
      return [endOf(objects, 'broker').grace, endOf(objects, 'token-service').grace]
    }
    expect(await graces(30)).toEqual([35, 35])
    expect(await graces(600)).toEqual([600, 600])
  })
})
